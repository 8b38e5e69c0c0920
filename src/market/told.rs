//! Three things that a source can do with a field: leave it out, send that there is no value, send a value.

/// A field of a quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Told<T> {
    /// The packet or body does not carry the field: what was known of it stays.
    #[default]
    NotTold,
    /// The source says that there is none, such as a bid that was withdrawn.
    Nothing,
    Value(T),
}

impl<T> Told<T> {
    /// The value, if there is one.
    #[inline]
    pub fn value(self) -> Option<T> {
        match self {
            Told::Value(value) => Some(value),
            Told::NotTold | Told::Nothing => None,
        }
    }

    #[inline]
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Told<U> {
        match self {
            Told::NotTold => Told::NotTold,
            Told::Nothing => Told::Nothing,
            Told::Value(value) => Told::Value(convert(value)),
        }
    }

    pub fn is_told(&self) -> bool {
        !matches!(self, Told::NotTold)
    }
}

impl<T: Default + PartialEq> Told<T> {
    /// Of a field in which the source writes a zero where it has no value.
    #[inline]
    pub fn zero_is_nothing(value: T) -> Told<T> {
        if value == T::default() { Told::Nothing } else { Told::Value(value) }
    }
}

impl<T> From<Option<T>> for Told<T> {
    /// Of a source that always carries the field.
    #[inline]
    fn from(value: Option<T>) -> Told<T> {
        value.map_or(Told::Nothing, Told::Value)
    }
}
