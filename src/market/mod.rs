//! The vocabulary every other module speaks: prices, times, contracts, ticks and the rows made of them.
//!
//! Plain data and total functions on it. No I/O, no clock, no async, and nothing here knows a provider's wire
//! format. Money and quantities are integers; times are UTC and turn into IST only for sessions, buckets and display.

mod candle;
mod coverage;
mod delivery;
mod index;
mod instrument;
mod oi_base;
mod price;
mod provider;
mod tick;
mod time;
mod told;

pub use candle::{Bar, Candle, CandleInterval, UnresolvedCandle};
pub use coverage::{BucketState, CoverageRun};
pub use delivery::Delivery;
pub use index::{INDEX_UNDERLYINGS, is_index_underlying};
pub use instrument::{
    Contract, ContractError, Exchange, InstrumentId, InstrumentKind, Listing, OptionType, ProviderToken,
    Segment,
};
pub use oi_base::OiBase;
pub use price::{Price, PriceError};
pub use provider::Provider;
pub(crate) use provider::with_providers;
pub use tick::{BucketRow, DayClose, OiDelta, Quote, UnderlyingRow};
pub use time::{BUCKET_MINUTES, Bucket, Timestamp, TradingDate, ist};
pub use told::Told;
