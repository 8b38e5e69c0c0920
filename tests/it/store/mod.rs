//! What every store must do, run on SQLite and on PostgreSQL.

mod cases;
mod place;
mod postgres;
mod random;
mod sample;

/// Each case once for each database.
macro_rules! on_both {
    ($($case:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::cases::$case(&super::place::Place::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $case() {
                super::cases::$case(&super::place::Place::postgres().await).await;
            })*
        }
    };
}

on_both! {
    what_is_appended_can_be_asked_for
    repeating_a_batch_changes_nothing
    a_lower_revision_never_replaces_a_higher
    a_row_that_knows_less_replaces_none_of_its_revision
    supplements_replace_nothing
    an_underlying_that_was_not_observed_has_no_prices
    a_volume_of_an_underlying_that_is_not_known_is_none
    a_candle_keeps_its_mark_whatever_replaces_it
    unresolved_candles_are_marked
    rows_of_one_key_in_a_batch_count_in_their_order
    a_refused_batch_leaves_no_trace
    a_writer_that_was_given_up_commits_nothing
    the_checkpoint_never_goes_back
    what_came_of_records_that_leave_the_log_is_taken_back
    a_store_stays_what_it_was_born_as
    a_reader_needs_a_store
    a_store_of_a_later_version_is_refused
    the_view_of_snapshots_has_exact_values
    the_views_of_deltas_and_candles_have_exact_values
    coverage_of_a_day_is_replaced
    what_is_not_listed_yet_counts_as_nothing
    a_close_follows_the_latest_event_and_keeps_the_official_values
    the_last_final_open_interest_is_found
    the_bases_of_a_day_are_its_usable_figures
    the_contracts_of_a_day_are_found
    gaps_grow_and_instruments_widen
    runs_of_jobs_are_kept_beside_the_checkpoint
    a_store_of_the_first_version_is_brought_up_to_date
    a_store_of_before_the_evidence_keeps_its_rows
    the_evidence_can_be_taken_back
}

#[tokio::test]
async fn a_store_in_memory_serves_its_reader() {
    use bhavd::store::{Birth, Store};
    let mut store = bhavd::store::open("sqlite::memory:", Birth::Simulated).await.expect("opens");
    let batch = sample::batch();
    store.append(&batch).await.expect("is written");
    let reader = store.reader().await.expect("a reader");
    assert_eq!(reader.birth().await.expect("was born"), Birth::Simulated);
    assert_eq!(reader.summary(batch.session_date).await.expect("a summary").rows, batch.buckets.len() as i64);
}
