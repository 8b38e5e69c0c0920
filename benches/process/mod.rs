//! A program that a bench runs, and what /proc says of it.
#![allow(dead_code, reason = "each bench needs some of it")]

use std::{fs, process::Child};

/// Does not outlive the bench.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// A figure of /proc/PID/status: memory is in units of 1,024 bytes.
    pub fn figure(&mut self, name: &str) -> u64 {
        self.assert_runs();
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("the process's status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let figure = line.and_then(|line| line.split_whitespace().next()).expect("the figure");
        figure.parse().expect("a number")
    }

    /// CPU time of all its threads so far, in seconds.
    pub fn cpu_s(&mut self) -> f64 {
        self.assert_runs();
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("the process's state");
        // The name, in parentheses, may have spaces. User and system time are fields 14 and 15 of proc(5).
        let (_, after_name) = stat.rsplit_once(')').expect("a name");
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().expect("a number")).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// How often its threads went to sleep so far.
    pub fn sleeps(&mut self) -> u64 {
        self.assert_runs();
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("the process's threads");
        let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let of_task = |status: String| {
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.map_or(0, |count| count.trim().parse::<u64>().expect("a number"))
        };
        tasks.map(|task| of_task(status(task.expect("a thread")))).sum()
    }

    fn assert_runs(&mut self) {
        assert!(self.0.try_wait().expect("a child").is_none(), "the program ended");
    }
}

/// Of units of 1,024 bytes.
pub fn megabytes(kb: u64) -> f64 {
    kb as f64 * 1_024.0 / 1e6
}
