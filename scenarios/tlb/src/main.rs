//! Page tables that change while other CPUs use them.

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

fn table() -> &'static [AtomicU64; 512] {
    // SAFETY: zeroed, aligned, never freed.
    unsafe { &*lamprey::alloc(4096, 4096).cast() }
}
fn pa<T>(t: &T) -> u64 { lamprey::physical_address(core::ptr::from_ref(t).cast()) }

/// A CPU unmaps a page and frees it; the other, which runs the same process, is not told.
#[lamprey::scenario(finds = "freed-frame")]
fn missing_shootdown() {
    lamprey::page_tables(4);
    let [l4, l3, l2, l1] = [table(), table(), table(), table()];
    let page = table();
    let va = 0x7fff_dead_0000u64;
    let ix = move |l: u32| ((va >> (12 + 9 * (l - 1))) & 511) as usize;
    l4[ix(4)].store(pa(l3) | 0x67, SeqCst);
    l3[ix(3)].store(pa(l2) | 0x67, SeqCst);
    l2[ix(2)].store(pa(l1) | 0x67, SeqCst);
    l1[ix(1)].store(pa(page) | 0x67, SeqCst);
    let root = pa(l4);
    lamprey::cpu(0, move || {
        unsafe { asm!("mov cr3, {}", in(reg) root | 1, options(nostack)) };
        let _ = lamprey::user::read::<u64>(va);
        lamprey::mark!("used");
    });
    lamprey::cpu(1, move || {
        unsafe { asm!("mov cr3, {}", in(reg) root | 1, options(nostack)) };
        l1[ix(1)].store(0, SeqCst);
        unsafe { asm!("invlpg [{}]", in(reg) va, options(nostack)) };
        lamprey::frame_free(pa(page));
    });
}
