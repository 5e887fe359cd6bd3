//! The discussion of March 2024, step by step.
//!
//! A patch to Linux said that a CPU can return to a user thread with the old Linear Address Masking
//! bits in CR3. One reviewer answered that he did not think it possible; another had not found
//! anything. This is the code that they discussed, in small: a CPU switches address spaces, a
//! kernel thread borrows one and leaves it loaded, and a process turns LAM on. Function names are
//! Linux's. The code is our own, and contains what the question needs: no page-table isolation, no
//! mitigations, no flush requests.
//!
//! | module | contents |
//! |---|---|
//! | [`variant`] | the states of the code: `before`, `patch1`, `patch2`, `ipi_alone`, `merged`, `fenced` |
//! | [`switch`], [`lam`] | the code in question |
//! | [`situation`] | the actions of the CPUs |
//! | [`property`] | the properties |
//! | [`before`], [`patch1`], [`patch2`], [`ipi_alone`], [`merged`], [`fenced`] | a scenario for each question and answer |
//!
//! If the answer is "that happens", the scenario declares it: `finds = "…"`.

#![no_std]
#![no_main]

mod arch;
mod lam;
mod mm;
mod property;
mod situation;
mod switch;
mod thread;
mod variant;

mod before;
mod fenced;
mod ipi_alone;
mod merged;
mod patch1;
mod patch2;
