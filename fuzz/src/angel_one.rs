//! Angel One's decoders: no input makes one panic, and what one accepts survives encoding.

use bhavd::wire::angel_one::*;

/// SmartStream packets.
pub fn stream(data: &[u8]) {
    let packet = Packet::decode(data);
    if decode_quote(data).is_ok() {
        assert!(packet.is_ok(), "a quote of what is no packet");
    }
    let Ok(packet) = packet else { return };
    let mut bytes = Vec::new();
    packet.encode_into(&mut bytes);
    let again = Packet::decode(&bytes).expect("an encoded packet decodes");
    let mut twice = Vec::new();
    again.encode_into(&mut twice);
    // Bytes, not packets: a total may be NaN.
    assert_eq!(bytes, twice);
    let quote = |bytes: &[u8]| decode_quote(bytes).map_err(|error| error.to_string());
    assert_eq!(quote(data), quote(&bytes));
}

/// Text frames of both sides.
pub fn subscription(data: &[u8]) {
    if let Ok(text) = ClientText::decode(data) {
        assert_eq!(ClientText::decode(text.encode().as_bytes()), Ok(text));
    }
    if let Ok(text) = ServerText::decode(data) {
        assert_eq!(ServerText::decode(text.encode().as_bytes()), Ok(text));
    }
}

/// Log-in bodies, refusals and JWTs.
pub fn login(data: &[u8]) {
    if let Ok(request) = LoginRequest::decode(data) {
        assert_eq!(LoginRequest::decode(&request.encode()), Ok(request));
    }
    if let Ok(request) = RefreshRequest::decode(data) {
        assert_eq!(RefreshRequest::decode(&request.encode()), Ok(request));
    }
    match SessionTokens::decode(data) {
        Ok(tokens) => assert_eq!(SessionTokens::decode(&tokens.encode()), Ok(tokens)),
        Err(WireError::Refused(refusal)) => {
            refusal.class();
            assert_eq!(SessionTokens::decode(&refusal.encode()), Err(WireError::Refused(refusal)));
        }
        Err(_) => {}
    }
    Refusal::of_status(403, data).class();
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(expires) = jwt_expiry(text)
    {
        assert_eq!(jwt_expiry(&encode_jwt("A123", expires, 0)), Ok(expires));
    }
}

/// Quote requests and answers.
pub fn quote(data: &[u8]) {
    if let Ok(request) = QuoteRequest::decode(data) {
        assert_eq!(QuoteRequest::decode(&request.encode()), Ok(request));
    }
    let quotes = decode_quotes(data);
    let Ok((rows, unfetched)) = decode_full_quotes(data) else { return };
    let quotes = quotes.expect("rows with every field are rows");
    assert_eq!(quotes.quotes.len() + quotes.malformed.len(), rows.len());
    let again = decode_quotes(&encode_full_quotes(&rows, &unfetched)).expect("an encoded answer decodes");
    assert_eq!((again.quotes, again.unfetched), (quotes.quotes, quotes.unfetched));
}

/// Candle requests and answers.
pub fn candles(data: &[u8]) {
    if let Ok(request) = CandleRequest::decode(data) {
        assert_eq!(CandleRequest::decode(&request.encode()), Ok(request));
    }
    if let Ok(bars) = decode_candles(data) {
        // Broker bars start on whole seconds; a fraction is not written.
        if bars.iter().all(|bar| bar.start.as_us() % 1_000_000 == 0) {
            assert_eq!(decode_candles(&encode_candles(&bars)), Ok(bars));
        }
    }
}

/// Option greek requests and answers.
pub fn greeks(data: &[u8]) {
    if let Ok(request) = GreekRequest::decode(data) {
        assert_eq!(GreekRequest::decode(&request.encode()), Ok(request));
    }
    if let Ok(rows) = decode_greeks(data) {
        assert_eq!(decode_greeks(&encode_greeks(&rows)), Ok(rows));
    }
}

/// The instrument master.
pub fn master(data: &[u8]) {
    let Ok(master) = decode_master(data) else {
        assert!(cut_master(data.to_vec(), |_| true).is_err());
        return;
    };
    let cut = cut_master(data.to_vec(), |_| true).expect("a master can be cut");
    decode_master(&cut).expect("a cut master is a master");
    let again = decode_master(&encode_master(&master.listings)).expect("an encoded master decodes");
    assert_eq!(again.listings, master.listings);
}
