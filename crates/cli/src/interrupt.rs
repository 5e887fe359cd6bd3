//! Ctrl-C: the first ends searches, so that results so far are printed and saved; the second ends the process.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the signal handler.
pub(crate) fn install_handler() {
    // If no handler can be set, a signal ends the process, as by default.
    let _ = ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            process::exit(Exit::Interrupted.code().into());
        }
    });
}

/// Returns whether an interruption was requested.
pub(crate) fn is_requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
