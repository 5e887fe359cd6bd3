//! The interpreter against the processor below, at length.

use anyhow::ensure;
use native::Coverage;

pub(crate) fn run(count: u32, seed: u64) -> anyhow::Result<()> {
    let (mut covered, mut instances, mut faults) = (0u32, 0u64, 0u64);
    let mut differing = Vec::new();
    native::all(count, seed, |code, result| match result {
        Ok(Coverage::Covered { instances: n, faults: f }) => {
            covered += 1;
            instances += u64::from(n);
            faults += u64::from(f);
        }
        Ok(Coverage::Excluded { reason }) => println!("excluded {code:?}: {reason}"),
        Ok(Coverage::Skipped { feature }) => println!("skipped  {code:?}: no {feature} here"),
        Err(mismatch) => {
            println!("DIFFERS  {code:?}\n{mismatch}");
            differing.push(code);
        }
    });
    println!("{covered} forms, {instances} instances, {faults} of them faulting, seed {seed}");
    ensure!(differing.is_empty(), "{} forms differ from this processor", differing.len());
    Ok(())
}
