#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bhavd_fuzz::websocket::messages(data));
