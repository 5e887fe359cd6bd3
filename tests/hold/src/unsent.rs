//! Runs without the NMI that may come.

use core::sync::atomic::Ordering::Relaxed;

use crate::shared::words;

/// Every run with the NMI is discarded; the one without it ends well.
#[lamprey::scenario(marks = ["end"])]
fn discarded_if_it_comes() {
    let [done] = words();
    lamprey::nmi(1, || lamprey::assume(false));
    lamprey::cpu(0, move || done.store(1, Relaxed));
    lamprey::finally(|| lamprey::mark!("end"));
}
