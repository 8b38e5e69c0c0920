//! What a record of a provider's means: bytes of the log to observations. Pure; one file a provider.
//!
//! A decoder owns what its provider needs for a day: the table of its tokens, its lot sizes. It is begun anew each day, and
//! knows nothing but the day's log. What it makes of a record it hands to [`Ingest`].

mod angel_one;
mod nse;
mod nse_stamps;
mod packets_ahead;
mod token_table;

pub use nse::chain_times as nse_chain_times;

use super::ingest::Ingest;
use crate::{
    market::{Provider, ProviderToken, with_providers},
    pipeline::LiveSink,
    spool::Record,
};

/// Bytes of the log to observations.
pub(super) trait Decode: Default {
    /// Forgets the day before.
    fn begin_day(&mut self) {
        *self = Self::default();
    }

    fn decode(&mut self, record: &Record, ingest: &mut Ingest<'_, impl LiveSink>);

    /// The provider's names of the first `max` of these slots that it addresses by token, in ascending order.
    fn tokens_of(&self, _slots: &[u32], _max: usize) -> Vec<ProviderToken> {
        Vec::new()
    }
}

macro_rules! define_decoders {
    ($($variant:ident $name:ident $code:literal),*) => {
        /// All of them: one match a record, static calls inside.
        #[derive(Debug, Default)]
        pub(super) struct Decoders {
            $($name: $name::Decoder),*
        }

        impl Decoders {
            pub fn begin_day(&mut self) {
                $(self.$name.begin_day();)*
            }

            pub fn decode(
                &mut self,
                provider: Provider,
                record: &Record,
                ingest: &mut Ingest<'_, impl LiveSink>,
            ) {
                match provider {
                    $(Provider::$variant => self.$name.decode(record, ingest)),*
                }
            }

            pub fn tokens_of(&self, provider: Provider, slots: &[u32], max: usize) -> Vec<ProviderToken> {
                match provider {
                    $(Provider::$variant => self.$name.tokens_of(slots, max)),*
                }
            }
        }
    };
}
with_providers!(define_decoders);
