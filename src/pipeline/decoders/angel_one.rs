//! Angel One: SmartStream packets, quote answers, index candles and the instrument master.

use super::{Decode, packets_ahead::PacketsAhead, token_table::TokenTable};
use crate::{
    engine::{ChannelTraits, watch::ListedExpiries},
    market::{Delivery, Listing, Provider, ProviderToken, Quote, Segment},
    pipeline::{LiveSink, ingest::Ingest},
    spool::{Record, Source},
    wire::angel_one,
};
use std::collections::{BTreeMap, BTreeSet};

const PROVIDER: Provider = Provider::AngelOne;

/// What no rule of the day says otherwise.
const STREAM: (&str, ChannelTraits) = (
    "angel_one_stream",
    ChannelTraits {
        delivery: Delivery::Stream,
        lateness_us: 120_000_000,
        gap_max_us: 60_000_000,
        copy_age_us: 0,
    },
);
/// A sweep over what no socket carries may take minutes. How old an answer's values are is not documented.
const QUOTE: (&str, ChannelTraits) = (
    "angel_one_quote",
    ChannelTraits {
        delivery: Delivery::Quote,
        lateness_us: 330_000_000,
        gap_max_us: 300_000_000,
        copy_age_us: 10_000_000,
    },
);

#[derive(Debug, Default)]
pub(super) struct Decoder {
    tokens: TokenTable,
}

impl Decode for Decoder {
    fn decode(&mut self, record: &Record, ingest: &mut Ingest<'_, impl LiveSink>) {
        match record.source {
            Source::ANGEL_ONE_STREAM => self.decode_packets(record, ingest),
            Source::ANGEL_ONE_QUOTE => {
                for body in record.frames.iter() {
                    self.decode_quotes(body, &record.context, ingest);
                }
            }
            Source::ANGEL_ONE_CANDLES => {
                record.frames.iter().for_each(|body| self.decode_candles(body, &record.context, ingest));
            }
            Source::ANGEL_ONE_MASTER => {
                record.frames.iter().for_each(|body| self.decode_master(body, ingest));
            }
            // No feed asks for greeks; a log that has them makes no rows of them.
            _ => {}
        }
    }

    fn tokens_of(&self, slots: &[u32], max: usize) -> Vec<ProviderToken> {
        self.tokens.tokens_of(slots, max)
    }
}

impl Decoder {
    fn decode_packets(&self, record: &Record, ingest: &mut Ingest<'_, impl LiveSink>) {
        let stream = stream_of(&record.context);
        let Some(mut arrival) = ingest.stream_arrival(PROVIDER, stream, STREAM) else { return };
        let mut packets = PacketsAhead::new(|| record.frames.iter(), &self.tokens, ingest);
        let mut quote = Quote::default();
        for frame in record.frames.iter() {
            let Some((slot, packet)) = packets.next(ingest) else {
                note_unfound(frame, ingest);
                continue;
            };
            match packet.read(&mut quote) {
                Ok(()) => {
                    ingest.note_event(PROVIDER, quote.event_time);
                    ingest.observe(slot, &quote, &mut arrival);
                }
                Err(error) => {
                    ingest.note_malformed(PROVIDER, &error);
                    // Of its contract the stream has proved nothing since the packet before.
                    ingest.note_unread(slot, PROVIDER);
                }
            }
        }
        ingest.end_arrival(&arrival);
    }

    fn decode_quotes(&mut self, body: &[u8], context: &str, ingest: &mut Ingest<'_, impl LiveSink>) {
        let answer = match angel_one::decode_quotes(body) {
            Ok(answer) => answer,
            Err(error) => return ingest.note_malformed(PROVIDER, &error),
        };
        answer.malformed.iter().for_each(|error| ingest.note_malformed(PROVIDER, error));
        let angel_one::QuoteContext { sent, tokens: requested } = angel_one::QuoteContext::parse(context);
        let Some(mut arrival) = ingest.quote_arrival(PROVIDER, QUOTE, sent) else { return };
        let mut answered = BTreeSet::new();
        for angel_one::QuotedRow { token, symbol, quote } in &answer.quotes {
            let slot = self.tokens.get(*token);
            let of_another = slot
                .and_then(|slot| ingest.contract(slot))
                .filter(|contract| angel_one::is_symbol_of_another(symbol, contract));
            if let Some(contract) = of_another.map(ToString::to_string) {
                ingest.note_refused(
                    PROVIDER,
                    &format_args!("the quote of token {} of {contract} names {symbol:.40?}", token.token),
                );
                continue;
            }
            if !requested.is_empty() && !requested.contains(token) {
                ingest.note_refused(
                    PROVIDER,
                    &format_args!("a quote of token {} was not requested", token.token),
                );
                continue;
            }
            answered.insert(*token);
            ingest.note_event(PROVIDER, quote.event_time);
            match slot {
                Some(slot) => ingest.observe(slot, quote, &mut arrival),
                None => ingest.note_unrecorded(),
            }
        }
        for token in requested.difference(&answered) {
            if let Some(slot) = self.tokens.get(*token) {
                ingest.note_absent(slot, PROVIDER);
            }
        }
        ingest.end_arrival(&arrival);
    }

    fn decode_candles(&self, body: &[u8], context: &str, ingest: &mut Ingest<'_, impl LiveSink>) {
        let Some(slot) = candle_token(context).and_then(|token| self.tokens.get(token)) else {
            return ingest.note_unrecorded();
        };
        match angel_one::decode_candles(body) {
            Ok(bars) => ingest.take_history(slot, PROVIDER, &bars),
            Err(error) => ingest.note_malformed(PROVIDER, &error),
        }
    }

    fn decode_master(&mut self, body: &[u8], ingest: &mut Ingest<'_, impl LiveSink>) {
        // Read twice rather than held: fifty thousand listings are more memory than the day's state of them.
        let mut listed = ListedExpiries::default();
        let skipped = match angel_one::for_each_listing(body, |listing| listed.note(&listing.contract)) {
            Ok(skipped) => skipped,
            Err(error) => return ingest.note_malformed(PROVIDER, &error),
        };
        if let Some(error) = &skipped.first_malformed {
            (0..skipped.malformed).for_each(|_| ingest.note_malformed(PROVIDER, error));
        }
        let recorded = ingest.select(PROVIDER, &listed);
        let mut tokens = MasterTokens::default();
        let enroll = |listing: Listing| {
            if recorded.contains(&listing.contract)
                && let Some(slot) = ingest.enroll(&listing, None)
                && let Some(token) = listing.token
            {
                self.tokens.insert(token, slot);
                tokens.note(token, slot);
            }
        };
        angel_one::for_each_listing(body, enroll).expect("it was read a moment ago");
        ingest.set_unread_listings(PROVIDER, (skipped.malformed + tokens.ambiguous.len()) as u64);
        for (token, slot) in tokens.ambiguous {
            self.tokens.remove(token);
            let ProviderToken { token, .. } = token;
            let contract = ingest.contract(slot).map(ToString::to_string).unwrap_or_default();
            ingest.note_malformed(
                PROVIDER,
                &format_args!(
                    "instrument master: token {token} of {contract} is not of it alone, or not its only one: whose packets it \
                     brings is not known"
                ),
            );
        }
    }
}

/// A packet of no recorded contract, or of none that it names.
#[cold]
fn note_unfound(frame: &[u8], ingest: &mut Ingest<'_, impl LiveSink>) {
    match angel_one::PacketView::parse(frame) {
        Ok(_) => ingest.note_unrecorded(),
        Err(error) => ingest.note_malformed(PROVIDER, &error),
    }
}

/// The tokens of a master's recorded contracts: each is of one contract, and each contract has one.
#[derive(Default)]
struct MasterTokens {
    slots: BTreeMap<ProviderToken, u32>,
    tokens: BTreeMap<u32, ProviderToken>,
    /// Those of which it is not known whose packets they bring.
    ambiguous: BTreeMap<ProviderToken, u32>,
}

impl MasterTokens {
    fn note(&mut self, token: ProviderToken, slot: u32) {
        let other_slot = self.slots.insert(token, slot).filter(|other| *other != slot);
        let other_token = self.tokens.insert(slot, token).filter(|other| *other != token);
        if other_slot.is_some() || other_token.is_some() {
            self.ambiguous.insert(token, slot);
        }
        self.ambiguous.extend(other_token.map(|other| (other, slot)));
    }
}

/// Reads `stream=0`; logs of before have one stream without a name.
fn stream_of(context: &str) -> u8 {
    context.strip_prefix("stream=").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Reads `segment=1&token=99926000&…`.
fn candle_token(context: &str) -> Option<ProviderToken> {
    let value = |key: &str| {
        context
            .split('&')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
            .and_then(|text| text.parse().ok())
    };
    let segment = Segment::from_code(u8::try_from(value("segment")?).ok()?)?;
    Some(ProviderToken { segment, token: value("token")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Timestamp;

    #[test]
    fn contexts_name_what_was_requested() {
        let index = ProviderToken { segment: Segment::NseCash, token: 99_926_000 };
        assert_eq!(candle_token("segment=1&token=99926000&interval=THREE_MINUTE"), Some(index));
        for wrong in ["", "segment=9&token=1", "token=5", "segment=1&token=x", "segment=300&token=1"] {
            assert_eq!(candle_token(wrong), None, "{wrong}");
        }
        let option = ProviderToken { segment: Segment::NseFo, token: 35_001 };
        let (sent, tokens) =
            (Some(Timestamp::from_us(1_769_744_700_000_000)), BTreeSet::from([option, index]));
        let context = angel_one::QuoteContext { sent, tokens };
        assert_eq!(context.to_string(), "sent_us=1769744700000000&tokens=1:99926000,2:35001");
        let read = angel_one::QuoteContext::parse;
        assert_eq!(read(&(context.to_string() + ",x,2:")), context);
        assert_eq!(read(""), angel_one::QuoteContext::default());
        assert_eq!((stream_of("stream=2"), stream_of(""), stream_of("stream=x")), (2, 0, 0));
    }
}
