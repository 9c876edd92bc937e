//! Agents whose reports are false, for measuring what that costs the others.

/// What is wrong with an agent's reports to the others. It decides its own requests as well as ever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It reports successes as failures and failures as successes, everything so many times, and latencies that are so
    /// many times as long.
    Lies {
        /// How many times.
        times: u32,
    },
    /// It reports as many failures more as this share of its successes, and nothing else that is false: what is least
    /// easily found out.
    Slanders {
        /// The share, from 0 to 1.
        share: f64,
    },
    /// It reports nothing from this step of each episode on.
    Silent {
        /// The first step without a report.
        from_step: u32,
    },
}
