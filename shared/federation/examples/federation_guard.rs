//! What the guard does with honest authors and with liars, as a table:
//!
//! `cargo run --release -p federation --example federation_guard -- [WORLDS]`
//!
//! Each world has providers whose jobs fail at rates from .02 to .25, and authors who have tried them some times and tell
//! what failed. The tries of one author at one provider are correlated (beta-binomial), and their number is log-normal, with
//! a standard deviation of 1 of its logarithm. *Error* is the root mean square of what is believed of the providers' rates
//! minus what they are: of an honest author alone, of the sum of all that is claimed, and of what the guard leaves of it.
//! *Kept* is the share of what honest authors gain from each other (alone → guarded, without a liar) that is still gained.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

#[path = "support/liars.rs"]
mod liars;

use liars::{Errors, Lie, World, errors};

fn main() {
    let worlds: u32 = std::env::args().nth(1).map_or(100, |given| given.parse().unwrap());
    println!(
        "| authors | providers | tries | correlation | who lies | alone | sum of all | guarded | kept | liars out | honest out |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let worlds_of = |(tries, correlation)| World { authors: 20, providers: 10, tries, correlation };
    let many = [(60.0, 0.0), (60.0, 0.05), (60.0, 0.1), (5.0, 0.05), (2000.0, 0.05)].map(worlds_of);
    let few = World { authors: 5, ..many[1] };
    let narrow = World { providers: 3, ..many[1] };
    for world in many.into_iter().chain([few, narrow]) {
        let World { authors, providers, tries, correlation } = world;
        let honest = errors(world, None, worlds, 1);
        for lie in [None].into_iter().chain(Lie::ALL.map(Some)) {
            let liars = lie.map_or(0, Lie::liars);
            if 3 * liars >= authors {
                continue;
            }
            let Errors { alone, sum, guarded, liars_out, honest_out } = errors(world, lie, worlds, 1);
            let kept = 100.0 * (alone - guarded) / (alone * (1.0 - honest.guarded / honest.alone));
            let name = lie.map_or("nobody", Lie::name);
            let caught = if liars == 0 { String::new() } else { format!("{:.0} %", 100.0 * liars_out) };
            println!(
                "| {authors} | {providers} | {tries} | {correlation} | {name} | {alone:.4} | {sum:.4} | {guarded:.4} | \
                     {kept:.0} % | {caught} | {:.2} % |",
                100.0 * honest_out
            );
        }
    }
}
