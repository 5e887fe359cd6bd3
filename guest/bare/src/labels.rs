//! The labels of `trap.s`: operations that may fault, and addresses in them.

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident)*) => {
        unsafe extern "C" {
            $($(#[$doc])* pub(crate) fn $name();)*
        }
    };
}

operations! {
    op_read op_read8 op_read_stack op_write op_call op_user op_cr3 op_cr4 op_invlpg op_invpcid
    op_iret op_far_return op_iret_nested op_mov_ss op_mov_ds op_ltr op_int_absent
    probe_done
    op_ud op_int3 op_divide op_int op_int_trap op_skewed
    user_start user_read user_write user_jump user_privileged user_hlt user_cr3 user_in user_stac
    user_int_closed user_popf user_end
    sti_cli sti_nop_cli sti_hlt_cli after_hlt sti_ss_cli popf_window after_popf
    sti_ss_then_cli ss_sti_cli sti_twice_cli sti_ss_twice_cli
}

/// A label of `trap.s`.
pub(crate) type Label = unsafe extern "C" fn();

/// Returns the address of a label.
pub(crate) fn address(label: Label) -> u64 {
    (label as *const ()).addr() as u64
}
