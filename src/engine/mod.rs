//! Pure state machines: input and `now` in, rows out. No I/O, no clock, no randomness, no order of a hash map.

mod candle;
mod channel;
mod counted;
mod coverage;
mod intervals;
mod observation;
mod rows;
mod trading_day;
pub mod watch;

pub use candle::{ContradictedBar, ContradictedVolume, PriceOutlier};
pub use channel::{AHEAD_US_MAX, Arrival, ChannelTraits};
pub use counted::Counted;
pub use observation::Observation;
pub use rows::Rows;
pub use trading_day::{
    ChainClass, ChainField, ContractVolumes, ContradictedBase, DayCounters, EndEvidence, EndProof,
    ImpossibleOi, ImpossiblePrice, LevelDispute, MissingChain, OiContradiction, OiDispute, OiJump,
    OiJumpFault, PriceBound, PriceFault, ScopeChange, ScopeReason, SessionHours, SlotSpec, StillField,
    StillLevel, StoppedContracts, TradingDay, UnstreamedChain, UntoldQuotes, UnwitnessedChain,
    VolumeContradiction, VolumeLeap, WrongStamps,
};
