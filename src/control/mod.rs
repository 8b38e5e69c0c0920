//! The control protocol and who may do what.
//!
//! One [`Request`] enum and one [`Response`] enum are the whole vocabulary; the varlink codec on the Unix socket is one
//! way to carry them and D-Bus is a second one ([`Door`]). The daemon implements [`Service`]; [`ControlServer`] does the
//! rest: peer credentials, limits, framing, streaming. [`Client`] is the other end, used by `bhavctl`.
//!
//! Invariants: a peer never slows another peer or the daemon. Every buffer has a bound ([`Limits`]); a peer that breaks
//! one is told where that is possible, and cut off. Peers are admitted by the socket's file mode and then judged by
//! their credentials ([`Authority`]).
//!
//! Forms on the wire, the same in every message: prices are integers of 1/10,000 rupee in fields that end in `_e4`; open
//! interest and volume are units; instants are RFC 3339 texts with India's offset ([`WallTime`]); dates are
//! `YYYY-MM-DD`; contracts are the text of [`crate::market::Contract`]. Every reply carries `schema_version`.
//!
//! Left out: what the answers mean and where they come from (the node), and how they look (the command line).

mod authority;
mod client;
mod codec;
mod configuration;
mod connection;
mod door;
mod error;
mod explain;
mod jobs;
mod listener;
mod rejudge;
mod request;
mod response;
mod seat;
mod server;
mod service;
mod time;
mod update;
mod varlink;

pub use authority::{Access, Authority, Peer};
pub use client::{Client, ClientError, Updates};
pub use codec::{FrameDecoder, FrameTooLarge, encode_frame};
pub use configuration::{
    ConfigurationResponse, ConfigurationRow, FeedResponse, KeyChange, KeyEffect, ReloadOutcome,
    ReloadResponse,
};
pub use door::Door;
pub use error::ControlError;
pub use explain::{
    ExplainContradiction, ExplainGap, ExplainProvider, ExplainRequest, ExplainResponse, ExplainRow,
    ExplainSaid, ExplainStatement, ExplainWitness, LogRecord, StoreAgreement, WitnessKind,
};
pub use jobs::{
    JobHistoryRequest, JobHistoryResponse, JobRequest, JobRow, JobRunRow, JobRunState, JobState,
    JobsResponse, RunJobResponse,
};
pub use listener::{BindError, ControlListener, ControlSocket};
pub use rejudge::{RejudgedRows, ReplayRejudgeRequest, ReplayRejudgeResponse};
pub use request::{
    CandlesRequest, ChainRequest, CoverageRequest, DeltasRequest, FailoverRequest, FeedRequest,
    OpenInterestRequest, ReplayVerifyRequest, Request, SetLogFilterRequest, Verb, WatchRequest,
};
pub use response::{
    ActorRow, ActorsResponse, CandleRow, CandlesResponse, ChainResponse, ChainRow, ChainSide, CoverageGap,
    CoverageResponse, CoverageRow, DeltaRow, DeltasResponse, DrainResponse, FailoverResponse, FeedRow,
    FeedsResponse, JudgedBy, LogFilterResponse, OpenInterestResponse, OpenInterestRow, ProviderChoice,
    ReplayRow, ReplayVerifyResponse, Response, RowState, SCHEMA_VERSION, SpoolStatus, StatusResponse,
    StoreStatus, Versioned,
};
pub use server::{ControlServer, Limits};
pub use service::Service;
pub use time::{LocalTime, LocalTimeError, WallTime};
pub use update::Update;
pub use varlink::{Call, Command, INTERFACE, INTERFACE_DESCRIPTION, Reply, parse_call};
