//! Faults of the simulated Angel One that concern one stream, one contract or one answer among good ones.

use crate::sim_angel_one::{Client, next_packet, next_text, quiet, request, tokens_of};
use bhavd::{
    market::{ProviderToken, Segment},
    sim::{Faults, TokenName},
    wire::angel_one::{
        QUOTE_PATH, QuoteRequest, ServerText, StreamMode, StreamRefusal, decode_full_quotes, decode_quote,
    },
};
use futures_util::{SinkExt, StreamExt};
use std::collections::BTreeSet;
use tokio_tungstenite::tungstenite::Message;

fn options(all: &[ProviderToken]) -> Vec<ProviderToken> {
    all.iter().filter(|token| token.segment == Segment::NseFo).copied().collect()
}

#[tokio::test]
async fn one_of_two_streams_is_refused_and_the_other_goes_on() {
    let simulator = quiet("11:00:00", 60.0, |_| ());
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let all = tokens_of(&simulator);
    let (one, other) = all.split_at(all.len() / 2);
    let refused_tokens = BTreeSet::from([TokenName::Token(one[0])]);
    simulator.set_faults(Faults { refused_tokens, ..Faults::default() });
    let (mut refused, mut taken) = (client.connect(&tokens).await, client.connect(&tokens).await);
    refused.send(request(true, StreamMode::SnapQuote, one)).await.expect("sent");
    match next_text(&mut refused).await {
        ServerText::Refusal(refusal) => assert_eq!(refusal.error_code, StreamRefusal::LIMIT_EXCEEDED),
        ServerText::Pong => panic!("a pong"),
    }
    assert_eq!(simulator.playback().subscriptions(), 0, "nothing of it is taken");
    taken.send(request(true, StreamMode::SnapQuote, other)).await.expect("sent");
    assert!(other.contains(&next_packet(&mut taken).await.token));
    simulator.stop();
}

#[tokio::test]
async fn packets_of_one_contract_cannot_be_read() {
    let simulator = quiet("11:00:00", 120.0, |_| ());
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let all = tokens_of(&simulator);
    let index = *all.iter().find(|token| token.segment == Segment::NseCash).expect("an index");
    let unreadable_tokens = BTreeSet::from([TokenName::Token(index)]);
    simulator.set_faults(Faults { unreadable_tokens, ..Faults::default() });
    let mut socket = client.connect(&tokens).await;
    socket.send(request(true, StreamMode::SnapQuote, &all)).await.expect("sent");
    let (mut read, mut unread) = (0, 0);
    let listen = async {
        while read < 20 || unread < 20 {
            let Some(Ok(Message::Binary(bytes))) = socket.next().await else { continue };
            match decode_quote(&bytes) {
                Ok((token, _)) => {
                    assert_ne!(token, index, "its packets cannot be read");
                    read += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("exchange time"), "{error}");
                    unread += 1;
                }
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), listen).await.expect("both kinds of packets");
    simulator.stop();
}

#[tokio::test]
async fn a_quote_is_answered_with_the_row_of_another_contract() {
    let simulator = quiet("11:00:00", 60.0, |_| ());
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let listed = options(&tokens_of(&simulator));
    let is_known = |token: &&ProviderToken| {
        let slot = simulator.market().slot_of_token(**token).expect("listed");
        simulator.playback().state().slot(slot).is_known()
    };
    let known: Vec<ProviderToken> = listed.iter().filter(is_known).take(3).copied().collect();
    let names = known.iter().map(|token| TokenName::Token(*token)).collect::<Vec<_>>();
    simulator.set_faults(Faults { wrong_quotes: [(names[0], names[2])].into(), ..Faults::default() });
    let asked = QuoteRequest { tokens: known[..2].to_vec() };
    let (_, body) = client.post(QUOTE_PATH, Some(&tokens.jwt_token), asked.encode()).await;
    let (rows, missing) = decode_full_quotes(&body).expect("quotes");
    let rows: Vec<u32> = rows.iter().map(|row| row.symbol_token).collect();
    assert_eq!((rows, missing.len()), (vec![known[2].token, known[1].token], 0));
    simulator.stop();
}
