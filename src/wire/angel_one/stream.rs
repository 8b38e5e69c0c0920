//! SmartStream V2 packets: little endian, one a WebSocket frame.
//!
//! Layout, offsets from 0 (documentation and the official client's parser):
//! 0 mode u8, 1 exchange type u8, 2 token (25 ASCII digits, NUL padded), 27 sequence i64, 35 exchange time i64 in
//! milliseconds, 43 last price i64 in paise; an LTP packet ends at 51. 51 last quantity, 59 average price, 67 volume
//! (i64), 75 total buy and 83 total sell quantity (f64), 91 open, 99 high, 107 low, 115 close (i64, paise); a QUOTE
//! packet ends at 123. 123 last trade time i64 in seconds, 131 open interest i64, 139 its change in percent f64
//! (documented as meaningless), 147 ten depth entries of 20 bytes (flag u16, quantity i64, price i64, orders u16),
//! 347 and 355 circuit limits, 363 and 371 extremes of 52 weeks; a SNAP_QUOTE packet ends at 379.

use super::{WireError, bounds};
use crate::market::{Price, ProviderToken, Quote, Segment, Timestamp, Told};

pub const LTP_BYTES: usize = 51;
pub const QUOTE_BYTES: usize = 123;
pub const SNAP_QUOTE_BYTES: usize = 379;

const WHAT: &str = "SmartStream packet";
const TOKEN: usize = 2;
const TOKEN_BYTES: usize = 25;
const DEPTH: usize = 147;
const DEPTH_ENTRY_BYTES: usize = 20;
const DEPTH_ENTRIES: usize = 10;
const FLAG_BUY: u16 = 1;
const FLAG_SELL: u16 = 0;

/// What a subscription asks for and a packet says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamMode {
    Ltp = 1,
    Quote = 2,
    /// The only mode with open interest and depth.
    SnapQuote = 3,
}

impl StreamMode {
    pub const ALL: [StreamMode; 3] = [StreamMode::Ltp, StreamMode::Quote, StreamMode::SnapQuote];

    pub const fn code(self) -> u8 {
        self as u8
    }

    pub const fn from_code(code: u8) -> Option<StreamMode> {
        match code {
            1 => Some(StreamMode::Ltp),
            2 => Some(StreamMode::Quote),
            3 => Some(StreamMode::SnapQuote),
            _ => None,
        }
    }

    pub const fn packet_bytes(self) -> usize {
        match self {
            StreamMode::Ltp => LTP_BYTES,
            StreamMode::Quote => QUOTE_BYTES,
            StreamMode::SnapQuote => SNAP_QUOTE_BYTES,
        }
    }
}

/// A packet with every field in the wire's units: prices in paise, quantities in units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet {
    pub token: ProviderToken,
    /// 0 for indices.
    pub sequence: i64,
    /// UTC.
    pub exchange_time_ms: i64,
    pub last_price_paise: i64,
    pub detail: Detail,
}

/// What a packet has beyond the last price.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a packet lives on the stack for one encoding; a box would cost an allocation each"
)]
pub enum Detail {
    Ltp,
    Quote(DayStatistics),
    SnapQuote(DayStatistics, Snapshot),
}

/// Bytes 51 to 123.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DayStatistics {
    pub last_quantity: i64,
    pub average_price_paise: i64,
    pub volume: i64,
    pub total_buy_quantity: f64,
    pub total_sell_quantity: f64,
    pub open_paise: i64,
    pub high_paise: i64,
    pub low_paise: i64,
    /// Of the previous day.
    pub close_paise: i64,
}

/// Bytes 123 to 379.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub last_trade_time_s: i64,
    /// Units. Meaningless on cash segments.
    pub open_interest: i64,
    /// Documented as a dummy.
    pub open_interest_change_percent: f64,
    /// Five buys, then five sells, best first; unused ones are zero.
    pub depth: [DepthEntry; DEPTH_ENTRIES],
    pub upper_circuit_paise: i64,
    pub lower_circuit_paise: i64,
    pub high_52_weeks_paise: i64,
    pub low_52_weeks_paise: i64,
}

/// One price level. The side comes from the flag, never from the position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DepthEntry {
    /// 1 is a buy, 0 a sell.
    pub flag: u16,
    pub quantity: i64,
    pub price_paise: i64,
    pub orders: u16,
}

impl DepthEntry {
    pub const fn buy(price_paise: i64, quantity: i64, orders: u16) -> DepthEntry {
        DepthEntry { flag: FLAG_BUY, quantity, price_paise, orders }
    }

    pub const fn sell(price_paise: i64, quantity: i64, orders: u16) -> DepthEntry {
        DepthEntry { flag: FLAG_SELL, quantity, price_paise, orders }
    }
}

impl Packet {
    pub const fn mode(&self) -> StreamMode {
        match self.detail {
            Detail::Ltp => StreamMode::Ltp,
            Detail::Quote(_) => StreamMode::Quote,
            Detail::SnapQuote(..) => StreamMode::SnapQuote,
        }
    }

    /// Appends the packet: 51, 123 or 379 bytes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        // Fields go to fixed places of a full-length packet, which costs no check of the vector's room for each.
        let mut bytes = [0; SNAP_QUOTE_BYTES];
        bytes[0] = self.mode().code();
        bytes[1] = self.token.segment.code();
        put(&mut bytes, TOKEN, token_digits(self.token.token));
        put(&mut bytes, 27, self.sequence.to_le_bytes());
        put(&mut bytes, 35, self.exchange_time_ms.to_le_bytes());
        put(&mut bytes, 43, self.last_price_paise.to_le_bytes());
        match &self.detail {
            Detail::Ltp => {}
            Detail::Quote(day) => day.encode_to(&mut bytes),
            Detail::SnapQuote(day, snapshot) => {
                day.encode_to(&mut bytes);
                snapshot.encode_to(&mut bytes);
            }
        }
        out.extend_from_slice(&bytes[..self.mode().packet_bytes()]);
    }

    /// Reads every field as it stands; only what [`decode_quote`] makes of them is checked for plausibility.
    pub fn decode(bytes: &[u8]) -> Result<Packet, WireError> {
        let mode = mode_of(bytes)?;
        let detail = match mode {
            StreamMode::Ltp => Detail::Ltp,
            StreamMode::Quote => Detail::Quote(DayStatistics::decode(&sized::<QUOTE_BYTES>(bytes)?[51..])),
            StreamMode::SnapQuote => {
                let bytes = sized::<SNAP_QUOTE_BYTES>(bytes)?;
                Detail::SnapQuote(DayStatistics::decode(&bytes[51..]), Snapshot::decode(&bytes[123..]))
            }
        };
        Ok(Packet {
            token: token_of(bytes)?,
            sequence: i64_at(bytes, 27),
            exchange_time_ms: i64_at(bytes, 35),
            last_price_paise: i64_at(bytes, 43),
            detail,
        })
    }
}

impl DayStatistics {
    fn encode_to(&self, bytes: &mut [u8; SNAP_QUOTE_BYTES]) {
        put(bytes, 51, self.last_quantity.to_le_bytes());
        put(bytes, 59, self.average_price_paise.to_le_bytes());
        put(bytes, 67, self.volume.to_le_bytes());
        put(bytes, 75, self.total_buy_quantity.to_le_bytes());
        put(bytes, 83, self.total_sell_quantity.to_le_bytes());
        put(bytes, 91, self.open_paise.to_le_bytes());
        put(bytes, 99, self.high_paise.to_le_bytes());
        put(bytes, 107, self.low_paise.to_le_bytes());
        put(bytes, 115, self.close_paise.to_le_bytes());
    }

    /// `bytes` begin at offset 51 of a packet of sufficient length.
    fn decode(bytes: &[u8]) -> DayStatistics {
        DayStatistics {
            last_quantity: i64_at(bytes, 0),
            average_price_paise: i64_at(bytes, 8),
            volume: i64_at(bytes, 16),
            total_buy_quantity: f64_at(bytes, 24),
            total_sell_quantity: f64_at(bytes, 32),
            open_paise: i64_at(bytes, 40),
            high_paise: i64_at(bytes, 48),
            low_paise: i64_at(bytes, 56),
            close_paise: i64_at(bytes, 64),
        }
    }
}

impl Snapshot {
    fn encode_to(&self, bytes: &mut [u8; SNAP_QUOTE_BYTES]) {
        put(bytes, 123, self.last_trade_time_s.to_le_bytes());
        put(bytes, 131, self.open_interest.to_le_bytes());
        put(bytes, 139, self.open_interest_change_percent.to_le_bytes());
        for (index, entry) in self.depth.iter().enumerate() {
            let start = DEPTH + index * DEPTH_ENTRY_BYTES;
            put(bytes, start, entry.flag.to_le_bytes());
            put(bytes, start + 2, entry.quantity.to_le_bytes());
            put(bytes, start + 10, entry.price_paise.to_le_bytes());
            put(bytes, start + 18, entry.orders.to_le_bytes());
        }
        put(bytes, 347, self.upper_circuit_paise.to_le_bytes());
        put(bytes, 355, self.lower_circuit_paise.to_le_bytes());
        put(bytes, 363, self.high_52_weeks_paise.to_le_bytes());
        put(bytes, 371, self.low_52_weeks_paise.to_le_bytes());
    }

    /// `bytes` begin at offset 123 of a packet of sufficient length.
    fn decode(bytes: &[u8]) -> Snapshot {
        let entry = |index: usize| {
            let start = DEPTH - QUOTE_BYTES + index * DEPTH_ENTRY_BYTES;
            DepthEntry {
                flag: u16_at(bytes, start),
                quantity: i64_at(bytes, start + 2),
                price_paise: i64_at(bytes, start + 10),
                orders: u16_at(bytes, start + 18),
            }
        };
        Snapshot {
            last_trade_time_s: i64_at(bytes, 0),
            open_interest: i64_at(bytes, 8),
            open_interest_change_percent: f64_at(bytes, 16),
            depth: std::array::from_fn(entry),
            upper_circuit_paise: i64_at(bytes, 224),
            lower_circuit_paise: i64_at(bytes, 232),
            high_52_weeks_paise: i64_at(bytes, 240),
            low_52_weeks_paise: i64_at(bytes, 248),
        }
    }
}

/// A packet of which the mode, the length and the token are known to be good; the values are not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct PacketView<'a> {
    token: ProviderToken,
    body: Body<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    Ltp(&'a [u8; LTP_BYTES]),
    Quote(&'a [u8; QUOTE_BYTES]),
    SnapQuote(&'a [u8; SNAP_QUOTE_BYTES]),
}

impl<'a> PacketView<'a> {
    /// # Errors
    /// [`WireError`] where the packet's beginning or its length is not one of the layouts.
    pub fn parse(bytes: &'a [u8]) -> Result<PacketView<'a>, WireError> {
        mode_of(bytes)?;
        let token = token_of(bytes)?;
        Ok(Self::of(bytes).unwrap_or_else(|| unreachable!("mode, length and token {token:?} are good")))
    }

    /// The same without the error: even where it is compiled into the caller, a `Result` that could hold one costs 1 to 2 ns a packet.
    #[inline(always)]
    pub fn of(bytes: &'a [u8]) -> Option<PacketView<'a>> {
        let body = match StreamMode::from_code(*bytes.first()?)? {
            StreamMode::Ltp => Body::Ltp(bytes.try_into().ok()?),
            StreamMode::Quote => Body::Quote(bytes.try_into().ok()?),
            StreamMode::SnapQuote => Body::SnapQuote(bytes.try_into().ok()?),
        };
        let segment = Segment::from_code(bytes[1])?;
        let token = match short_token(bytes) {
            Some(token) => token,
            None => long_token(bytes).ok()?,
        };
        Some(PacketView { token: ProviderToken { segment, token }, body })
    }

    #[inline]
    pub fn token(&self) -> ProviderToken {
        self.token
    }

    /// As [`PacketView::read`], returned.
    ///
    /// # Errors
    /// As there.
    pub fn quote(&self) -> Result<Quote, WireError> {
        let mut quote = Quote::default();
        self.read(&mut quote)?;
        Ok(quote)
    }

    /// Reads the values into `quote`, without allocating. A `Result` that held them would be put together in memory and
    /// copied, which takes a tenth of a tick's time.
    ///
    /// A last price of 0 is that of a contract that has never traded. Price and volume of a trade of another day are not told. Open interest is taken on F&O segments only (cash segments carry junk there). Fields a mode lacks are `None`.
    ///
    /// # Errors
    /// [`WireError`] for times, prices and quantities that cannot be; `quote` is as it was then.
    #[inline(always)]
    pub fn read(&self, quote: &mut Quote) -> Result<(), WireError> {
        match self.body {
            Body::Ltp(bytes) => {
                let (event_time, last_price) = last_price(bytes)?;
                let last_price = Told::zero_is_nothing(last_price);
                *quote = Quote { event_time, last_price, ..Quote::default() };
            }
            Body::Quote(bytes) => {
                let (event_time, last_price) = last_price(bytes)?;
                let volume = Some(volume(bytes)?);
                let last_price = Told::zero_is_nothing(last_price);
                *quote = Quote { event_time, last_price, volume, ..Quote::default() };
            }
            Body::SnapQuote(bytes) => {
                let (event_time, last_price) = last_price(bytes)?;
                let is_of_today = is_traded_today(i64_at(bytes, 123), event_time);
                let last_price = if is_of_today { last_price } else { Price::ZERO };
                let volume = Some(volume(bytes)?).filter(|_| is_of_today);
                let open_interest = match self.token.segment {
                    Segment::NseFo | Segment::BseFo => Some(open_interest(bytes)?),
                    Segment::NseCash | Segment::BseCash => None,
                };
                let (bid, ask) = best_prices(bytes)?;
                *quote = Quote {
                    event_time,
                    last_price: Told::zero_is_nothing(last_price),
                    open_interest,
                    volume,
                    bid: bid.into(),
                    ask: ask.into(),
                    implied_volatility_e4: Told::NotTold,
                    previous_open_interest: None,
                };
            }
        }
        Ok(())
    }
}

/// A packet's token and values at once, see [`PacketView`].
///
/// # Errors
/// [`WireError`] for whatever is wrong with the packet.
pub fn decode_quote(bytes: &[u8]) -> Result<(ProviderToken, Quote), WireError> {
    let packet = PacketView::parse(bytes)?;
    Ok((packet.token(), packet.quote()?))
}

/// The mode, with the packet's length checked against it.
#[inline]
fn mode_of(bytes: &[u8]) -> Result<StreamMode, WireError> {
    let Some(code) = bytes.first() else {
        return Err(WireError::Length { what: WHAT, length: 0, expected: LTP_BYTES });
    };
    let Some(mode) = StreamMode::from_code(*code) else {
        return Err(unsupported(0, "mode", *code));
    };
    if bytes.len() != mode.packet_bytes() {
        return Err(WireError::Length { what: WHAT, length: bytes.len(), expected: mode.packet_bytes() });
    }
    Ok(mode)
}

#[inline]
fn sized<const LENGTH: usize>(bytes: &[u8]) -> Result<&[u8; LENGTH], WireError> {
    bytes.try_into().map_err(|_| WireError::Length { what: WHAT, length: bytes.len(), expected: LENGTH })
}

#[inline]
fn token_of(bytes: &[u8]) -> Result<ProviderToken, WireError> {
    let Some(segment) = Segment::from_code(bytes[1]) else {
        return Err(unsupported(1, "exchange type", bytes[1]));
    };
    let token = match short_token(bytes) {
        Some(token) => token,
        None => long_token(bytes)?,
    };
    Ok(ProviderToken { segment, token })
}

/// Of a field that [`short_number`] reads.
#[inline]
fn short_token(bytes: &[u8]) -> Option<u32> {
    short_number(u64::from_le_bytes(bytes[TOKEN..TOKEN + 8].try_into().expect("the slice is 8 bytes")))
}

/// One to seven digits and then a NUL, without a branch for each: the lengths of tokens vary too much to be guessed.
///
/// Eight bytes in one word, first character lowest. The digits are moved to its top, so that zeros lead, and pairs,
/// fours and eights of them are summed up side by side (Lemire, "Quickly parsing eight digits").
#[inline]
fn short_number(characters: u64) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let nuls = characters.wrapping_sub(ONES) & !characters & (ONES << 7);
    let unused_bits = match nuls.trailing_zeros() / 8 {
        0 | 8 => return None,
        length => 64 - 8 * length,
    };
    let digits = (characters ^ (ONES * u64::from(b'0'))) << unused_bits;
    let above_nine = (digits.wrapping_add(ONES * (0x80 - 10)) | digits) & (ONES << 7);
    if above_nine != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10 * 0x100 + 1) >> 8 & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100 * 0x1_0000 + 1) >> 16 & 0x0000_FFFF_0000_FFFF;
    Some((fours.wrapping_mul(10_000 * 0x1_0000_0000 + 1) >> 32) as u32)
}

/// Any other field of digits.
#[cold]
fn long_token(bytes: &[u8]) -> Result<u32, WireError> {
    let field = &bytes[TOKEN..TOKEN + TOKEN_BYTES];
    let length = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let mut number: u32 = 0;
    for (index, byte) in field[..length].iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(implausible(TOKEN + index, "token", i64::from(*byte)));
        }
        number = number
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u32::from(digit)))
            .ok_or_else(|| implausible(TOKEN, "token", i64::from(number)))?;
    }
    if length == 0 {
        return Err(implausible(TOKEN, "token", 0));
    }
    Ok(number)
}

#[inline]
fn last_price(bytes: &[u8]) -> Result<(Timestamp, Price), WireError> {
    let (time_ms, paise) = (i64_at(bytes, 35), i64_at(bytes, 43));
    let Some(event_time) = bounds::time_from_ms(time_ms) else {
        return Err(implausible(35, "exchange time", time_ms));
    };
    let Some(last_price) = bounds::price_from_paise(paise) else {
        return Err(implausible(43, "last price", paise));
    };
    Ok((event_time, last_price))
}

#[inline]
fn volume(bytes: &[u8]) -> Result<i64, WireError> {
    let units = i64_at(bytes, 67);
    bounds::quantity(units).ok_or_else(|| implausible(67, "volume", units))
}

/// Whether the last trade is of the day of the values, or not told: sessions are shorter than half a day, and nights longer.
#[inline]
pub(super) fn is_traded_today(last_trade_s: i64, event_time: Timestamp) -> bool {
    const HALF_DAY_US: i64 = 43_200_000_000;
    last_trade_s <= 0 || event_time.as_us() - last_trade_s.saturating_mul(1_000_000) < HALF_DAY_US
}

#[inline]
fn open_interest(bytes: &[u8]) -> Result<i64, WireError> {
    let units = i64_at(bytes, 131);
    bounds::quantity(units).ok_or_else(|| implausible(131, "open interest", units))
}

/// The first buy and the first sell with a price.
#[inline]
fn best_prices(bytes: &[u8; SNAP_QUOTE_BYTES]) -> Result<(Option<Price>, Option<Price>), WireError> {
    let flag = |index: usize| u16_at(bytes, DEPTH + index * DEPTH_ENTRY_BYTES);
    let best = |index: usize| {
        let paise = i64_at(bytes, DEPTH + index * DEPTH_ENTRY_BYTES + 10);
        bounds::price_from_paise(paise).filter(|_| paise != 0)
    };
    // As nearly all packets are: five of each, the best first.
    let is_usual = (0..5).fold(flag(5) ^ FLAG_SELL, |odd, index| odd | flag(index) ^ FLAG_BUY) == 0;
    if let (true, Some(bid), Some(ask)) = (is_usual, best(0), best(5)) {
        return Ok((Some(bid), Some(ask)));
    }
    let (mut bid, mut ask) = (None, None);
    for index in 0..DEPTH_ENTRIES {
        let start = DEPTH + index * DEPTH_ENTRY_BYTES;
        let side = match u16_at(bytes, start) {
            FLAG_BUY => &mut bid,
            FLAG_SELL => &mut ask,
            flag => return Err(implausible(start, "depth flag", i64::from(flag))),
        };
        let paise = i64_at(bytes, start + 10);
        if side.is_none() && paise != 0 {
            let Some(price) = bounds::price_from_paise(paise) else {
                return Err(implausible(start + 10, "depth price", paise));
            };
            *side = Some(price);
        }
        if bid.is_some() && ask.is_some() {
            break;
        }
    }
    Ok((bid, ask))
}

#[cold]
fn implausible(offset: usize, field: &'static str, value: i64) -> WireError {
    WireError::Field { what: WHAT, offset, field, reason: format!("{value} is implausible") }
}

#[cold]
fn unsupported(offset: usize, field: &'static str, value: u8) -> WireError {
    WireError::Unsupported { what: WHAT, offset, field, value: i64::from(value) }
}

/// The digits of a token, padded with NUL.
fn token_digits(token: u32) -> [u8; TOKEN_BYTES] {
    let mut field = [0; TOKEN_BYTES];
    let length = token.checked_ilog10().map_or(1, |exponent| exponent as usize + 1);
    let mut rest = token;
    for byte in field[..length].iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    field
}

#[inline]
fn put<const LENGTH: usize>(bytes: &mut [u8; SNAP_QUOTE_BYTES], offset: usize, value: [u8; LENGTH]) {
    bytes[offset..offset + LENGTH].copy_from_slice(&value);
}

#[inline]
fn i64_at(bytes: &[u8], offset: usize) -> i64 {
    i64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("the slice is 8 bytes"))
}

#[inline]
fn f64_at(bytes: &[u8], offset: usize) -> f64 {
    f64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("the slice is 8 bytes"))
}

#[inline]
fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

#[cfg(test)]
mod tests;
