//! NSE's website JSON and archives.
