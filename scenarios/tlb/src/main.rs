//! Page tables that change while CPUs use them: failures without a flush, a fence or a wait, and
//! correct versions.
//!
//! Each question has a broken version, which finds the property it names, and a fixed one, which
//! holds. User memory follows the page tables in memory and the CPUs' TLBs; nothing here counts
//! translations itself.
//!
//! | module | subject |
//! |---|---|
//! | [`shootdown`] | a page is unmapped and freed while another CPU runs the process |
//! | [`cpumask`] | the CPUs that must flush, and the moment at which they are read |
//! | [`pcid`] | translations that a flush on this CPU leaves: reused PCIDs, global pages, tagged addresses |
//! | [`lazy`] | page tables that are freed under a kernel thread that borrows them |
//! | [`narrowing`] | a page loses the right to be written; dirty bits |
//! | [`overtaking`] | an interrupt that arrives before the request it announces |
//! | [`nmi`] | user memory that an NMI reads in the middle of a switch |
//! | [`process`], [`arch`] | the situation they share; single instructions |
//!
//! Each broken version states the `--tlb` and `--model` that find it. `eager` has no TLB, so its
//! findings are no missing flushes.

#![no_std]
#![no_main]

mod arch;
mod process;

mod cpumask;
mod lazy;
mod narrowing;
mod nmi;
mod overtaking;
mod pcid;
mod shootdown;
