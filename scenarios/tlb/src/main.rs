//! Page tables that change while CPUs use them: what goes wrong without a flush, a fence or a wait, and
//! what is right.
//!
//! Each question has a broken version, which finds what it names, and a fixed one, which holds. User
//! memory is what page tables in memory and the CPUs' TLBs say; nothing here counts translations
//! itself.
//!
//! | module | what it is about |
//! |---|---|
//! | [`shootdown`] | a page is unmapped and freed while another CPU runs the process |
//! | [`cpumask`] | who is asked to flush, and when that is read |
//! | [`pcid`] | what a flush on this CPU leaves: reused PCIDs, global pages, tagged addresses |
//! | [`lazy`] | page tables that are freed under a kernel thread that borrows them |
//! | [`narrowing`] | a page loses the right to be written; dirty bits |
//! | [`overtaking`] | an interrupt that arrives before the request it announces |
//! | [`nmi`] | user memory that an NMI reads in the middle of a switch |
//! | [`process`], [`arch`] | the situation they share; single instructions |
//!
//! Beside each broken one stands with which `--tlb` and `--model` it is found. `eager` has no TLB, so it
//! finds what is no missing flush.

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
