//! The simulated broker's login, for benches that open its stream by hand.

use bhavd::{
    sim::{AngelOneOptions, RunningSimulator},
    wire::angel_one::{LOGIN_PATH, LoginRequest, SessionTokens},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use totp_rs::{Builder, Secret};

pub fn login(simulator: &RunningSimulator) -> SessionTokens {
    let credentials = AngelOneOptions::default().credentials;
    let secret = Secret::try_from_base32(&credentials.totp_secret).expect("base32");
    let totp = Builder::new().with_secret(secret).build().expect("a secret");
    let now_s = simulator.clock().now().as_us() as u64 / 1_000_000;
    let body = LoginRequest {
        client_code: credentials.client_code,
        password: credentials.mpin,
        totp: totp.generate(now_s).to_string(),
    }
    .encode();
    let address = simulator.addresses().angel_one.expect("Angel One");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "POST {LOGIN_PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-PrivateKey: {}\r\nContent-Length: {}\r\n\r\n",
        credentials.api_key,
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).expect("written");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("a reply");
    let start = reply.windows(4).position(|window| window == b"\r\n\r\n").expect("a body") + 4;
    SessionTokens::decode(&reply[start..]).expect("tokens")
}
