//! NSE's decoders: no input makes one panic, and what one accepts survives encoding.

use bhavd::wire::nse::*;

/// Option chains of both generations.
pub fn chain(data: &[u8]) {
    let peeked = peek_timestamp(data);
    let Ok(chain) = decode_chain(data) else { return };
    assert_eq!(peeked, Ok(chain.timestamp));
    for shape in [ChainShape::V3, ChainShape::Older] {
        let again = decode_chain(&encode_chain(&chain, shape)).expect("an encoded chain decodes");
        assert_eq!(again.timestamp, chain.timestamp);
        assert_eq!(again.expiries, chain.expiries);
        assert_eq!(again.legs.len(), chain.legs.len());
        for (leg, again) in chain.legs.iter().zip(&again.legs) {
            assert_eq!(leg.contract(), again.contract());
            let prices = |leg: &Leg| (leg.last_price, leg.bid, leg.ask, leg.implied_volatility_e4);
            assert_eq!(prices(leg), prices(again));
            // The parser of floats may be off by one in the last place: what counts are the units.
            if let (Ok(quote), Ok(quote_again)) =
                (leg.quote(75, chain.timestamp), again.quote(75, chain.timestamp))
            {
                assert_eq!(quote, quote_again);
            }
        }
    }
}

/// Contract information.
pub fn contracts(data: &[u8]) {
    if let Ok(info) = decode_contracts(data) {
        assert_eq!(decode_contracts(&encode_contracts(&info)), Ok(info));
    }
}

/// Market status.
pub fn status(data: &[u8]) {
    if let Ok(status) = decode_status(data) {
        assert_eq!(decode_status(&encode_status(&status)), Ok(status));
    }
}

/// The lot-size file.
pub fn lots(data: &[u8]) {
    if let Ok(table) = decode_lots(data) {
        assert_eq!(decode_lots(&encode_lots(&table)), Ok(table));
    }
}

/// Contexts of recorded chains.
pub fn context(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(context) = text.parse::<ChainContext>() {
        assert_eq!(context.to_string().parse(), Ok(context));
    }
}
