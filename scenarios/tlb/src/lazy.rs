//! Page tables that are freed under a kernel thread that borrows them.
//!
//! A kernel thread has no user memory, so a switch to it leaves CR3 as it is: the CPU is *lazy*. It
//! will make no user access, and need not learn of flushes until a process runs again. But its page
//! walker may walk at any time, from the root in CR3, or from upper levels that it has cached (SDM
//! vol. 3 §4.10.2.3, §4.10.3.1). So before tables are freed a lazy CPU must be notified, too.

use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use lamprey::paging::PageTables;

use crate::arch::load_cr3;
use crate::process::{Process, Shootdown, VA, touch};

/// The process ends, and its topmost table is freed. CPU 0 still has it in CR3.
///
/// Found with `adversarial`, under both models. Neither `retain` nor `eager` walks without an access.
#[lamprey::scenario(finds = "freed-table")]
fn root_is_freed_under_a_lazy_cpu() {
    exit(|_| {});
}

/// CPU 0 is told to leave, and loads the kernel's own tables, before the process's are freed.
#[lamprey::scenario(marks = ["CPU 0 has left"])]
fn lazy_cpu_leaves_before_the_root_is_freed() {
    exit(|shootdown| {
        shootdown.send(0);
        shootdown.wait();
        lamprey::mark!("CPU 0 has left");
    });
}

/// Runs the last thread of a process on CPU 0, which ends; a kernel thread follows, lazily. CPU 1
/// frees the tables.
fn exit(tell_lazy: impl FnOnce(Shootdown) + Send + 'static) {
    let process = Process::only_one();
    let kernel = kernel_tables();
    let shootdown = Shootdown::with(move || load_cr3(kernel.root()));
    let ended = lamprey::new(AtomicU64::new(0));
    lamprey::name(ended, "process_ended");
    lamprey::cpu(0, move || {
        process.enter();
        touch();
        lamprey::note!("a kernel thread follows; CR3 stays");
        ended.store(1, Release);
    });
    lamprey::cpu(1, move || {
        while ended.load(Acquire) == 0 {
            spin_loop();
        }
        tell_lazy(shootdown);
        lamprey::frame_free(process.tables.root());
    });
}

/// A range is unmapped, and the table of its PTEs is freed. The flush leaves lazy CPUs out, which
/// is right for pages: CPU 0 flushes before it returns to the process. But it may have cached the
/// address of the table.
///
/// Found with `adversarial`, under both models. Neither `retain` nor `eager` walks without an access.
#[lamprey::scenario(finds = "freed-table")]
fn flush_leaves_lazy_cpus_out() {
    unmap_range(|lazy| !lazy);
}

/// If tables are freed, the flush asks lazy CPUs, too.
#[lamprey::scenario(marks = ["CPU 0 is lazy", "CPU 0 is not lazy", "flushed on the return"])]
fn flush_asks_lazy_cpus_if_tables_are_freed() {
    unmap_range(|_| true);
}

/// Lets CPU 0 run the process, be lazy for a while, and run it again. CPU 1 frees a table and asks
/// CPU 0 to flush if `asks`, given whether CPU 0 is lazy.
fn unmap_range(asks: impl FnOnce(bool) -> bool + Send + 'static) {
    let process = Process::only_one();
    let pde = process.tables.entry(VA, 2);
    let table = pde.load(Relaxed) & !0xfff;
    let flush = move || process.enter();
    let shootdown = Shootdown::with(flush);
    let lazy = lamprey::new(AtomicU64::new(0));
    let generation = lamprey::new(AtomicU64::new(0));
    lamprey::name(pde, "pde");
    lamprey::name_value(pde.load(Relaxed), "TABLE");
    lamprey::name(lazy, "cpu0_is_lazy");
    lamprey::name(generation, "generation");
    lamprey::cpu(0, move || {
        flush();
        lazy.store(1, Relaxed);
        lamprey::note!("a kernel thread runs; CR3 stays");
        // LOCKed: either CPU 1 sees that CPU 0 is not lazy, or CPU 0 sees the new generation.
        lazy.swap(0, SeqCst);
        if generation.load(Relaxed) != 0 {
            lamprey::mark!("flushed on the return");
            flush();
        }
        touch();
    });
    lamprey::cpu(1, move || {
        pde.store(0, Relaxed);
        generation.fetch_add(1, SeqCst);
        let is_lazy = lazy.load(Relaxed) != 0;
        if is_lazy {
            lamprey::mark!("CPU 0 is lazy");
        } else {
            lamprey::mark!("CPU 0 is not lazy");
        }
        if asks(is_lazy) {
            shootdown.send(0);
            shootdown.wait();
        }
        lamprey::frame_free(table);
    });
}

/// Creates tables with nothing in the user half.
fn kernel_tables() -> PageTables {
    let kernel = PageTables::new();
    lamprey::name_root(kernel.root(), "kernel");
    kernel
}
