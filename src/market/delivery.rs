//! How values of the market arrive.

/// What a packet, a body or an answer is of, and so what it can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// Packets of a subscription, in order, as values change.
    Stream,
    /// All contracts of a chain at once, as of one stamp.
    Chain,
    /// Single contracts, by request.
    Quote,
}
