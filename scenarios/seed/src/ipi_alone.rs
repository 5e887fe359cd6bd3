//! The IPI alone, with the mask for CR3 still read before a CPU joins A's cpumask: the reason why
//! the read had to move.

use crate::situation;
use crate::variant::IpiAlone;

/// A kernel thread reads the old mask, then joins, too late for the IPI: it faults.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn kthread_running_gets_tagged_pointer() {
    situation::kthread_running_gets_tagged_pointer::<IpiAlone>();
}
