//! Ctrl-C: the first ends searches, so that what is known is printed and kept; the second ends all.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on signals are heard.
pub(crate) fn hear() {
    // Where no handler can be set, a signal ends the process, as it would without us.
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            process::exit(Exit::Interrupted.code().into());
        }
    });
}

/// Has somebody asked for an end?
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
