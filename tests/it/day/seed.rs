//! The seed of a test that draws its circumstances.

/// The one in `BHAVD_TEST_SEED`, or a random one, printed so that the run can be repeated. `what` is drawn from it.
pub fn test_seed(what: &str) -> u64 {
    let seed = match std::env::var("BHAVD_TEST_SEED") {
        Ok(text) => text.parse().expect("BHAVD_TEST_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("seed {seed}: set BHAVD_TEST_SEED to repeat the {what}");
    seed
}
