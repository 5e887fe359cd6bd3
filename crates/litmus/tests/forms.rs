//! Formats: tests, herd's output, logs.

use litmus::{
    FinalState, LitmusModel, Log, Report, SearchBudget, StateDifference, Test, compare, parse, run,
};

fn read(text: &str) -> Test {
    parse("t.litmus", text).unwrap_or_else(|error| panic!("{error}"))
}

fn ends(test: &Test, model: LitmusModel) -> Vec<FinalState> {
    run(test, model, &SearchBudget::default(), &|| false)
        .unwrap_or_else(|why| panic!("{why}"))
        .states
}

/// Returns a test without initial state, with these rows and this end.
fn small(rows: &str, end: &str) -> Test {
    read(&format!("X86_64 small\n{{ }}\n{rows}\n{end}\n"))
}

const SB: &str = r#"X86_64 SB
"Store buffering
in two lines"
(* a comment (* in a comment *) *)
Generator=by hand
Orig=PodWR Fre PodWR Fre
{ uint64_t x; int y=0; 1:rsi=x; }
 P0             | P1 ;
 movq $1,(x)    | movl $1,(y) ;
 movl (y),%eax  | movq (%rsi),%rax ;
exists (0:rax=0 /\ 1:rax=0)
"#;

#[test]
fn a_report_has_herds_format() {
    let test = read(SB);
    let states = ends(&test, LitmusModel::Tso);
    let said = "Test SB Allowed\nStates 4\n\
        0:rax=0; 1:rax=0;\n0:rax=0; 1:rax=1;\n0:rax=1; 1:rax=0;\n0:rax=1; 1:rax=1;\n\
        Ok\nWitnesses\nPositive: 1 Negative: 3\n\
        Condition exists (0:rax=0 /\\ 1:rax=0)\nObservation SB Sometimes 1 3\n\n";
    assert_eq!(Report::new(&test, &states).to_string(), said);
    let states = ends(&test, LitmusModel::Sc);
    let said = Report::new(&test, &states).to_string();
    assert!(said.contains("\nStates 3\n") && said.contains("\nNo\n"), "{said}");
    assert!(said.contains("Observation SB Never 0 3\n"), "{said}");
}

#[test]
fn the_kind_and_the_verdict_follow_the_quantifier() {
    let rows = " P0 ;\n movq $1,(x) ;";
    for (end, kind, verdict) in [
        ("exists ([x]=1)", "Allowed", "Ok"),
        ("exists (x=2)", "Allowed", "No"),
        ("~exists ([x]=2)", "Forbidden", "Ok"),
        ("not exists (x=1)", "Forbidden", "No"),
        ("forall ([x]=1)", "Required", "Ok"),
        ("forall ([x]=2)", "Required", "No"),
    ] {
        let test = small(rows, end);
        let said = Report::new(&test, &ends(&test, LitmusModel::Tso)).to_string();
        assert!(said.starts_with(&format!("Test small {kind}\n")), "{end}: {said}");
        assert!(said.contains(&format!("[x]=1;\n{verdict}\n")), "{end}: {said}");
        // The single state satisfies the claim or not, whatever the quantifier.
        let witnesses = if verdict == "Ok" { "1 Negative: 0" } else { "0 Negative: 1" };
        assert!(said.contains(&format!("Positive: {witnesses}\n")), "{end}: {said}");
    }
}

#[test]
fn conditions_are_printed_without_needless_parentheses() {
    for (end, said) in [
        ("exists x=1 /\\ (0:rax=0 \\/ y=2)", "exists ([x]=1 /\\ (0:rax=0 \\/ [y]=2))"),
        ("exists (x=1 /\\ y=0) \\/ y=2", "exists ([x]=1 /\\ [y]=0 \\/ [y]=2)"),
        ("~exists ~(x=1) /\\ x!=-1", "~exists (not ([x]=1) /\\ not ([x]=-1))"),
        ("forall (x=1 => true)", "forall ([x]=1 => true)"),
        ("exists 0:rax=0x10 /\\ false", "exists (0:rax=16 /\\ false)"),
        ("", "forall (true)"),
    ] {
        let test = small(" P0 ;\n movq (x),%rax ;\n movq (y),%rbx ;", end);
        assert_eq!(Report::new(&test, &[]).condition(), said);
    }
}

#[test]
fn values_have_the_width_and_sign_of_the_observable() {
    let test = read(
        "X86_64 t\n{ uint8_t b; int16_t w; 0:rsi=d; int64_t q=-5; uint32_t 0:rdx; int64_t 0:rax; }\nP0 ;\n\
         movb $-1,(b) ;\n movw $-2,(w) ;\n movl $-3,(%rsi) ;\n movq $-4,%rax ;\n movq $-4,%rdx ;\n\
         locations [b; w; d; q; 0:al; 0:rdx]\nforall (0:rax=-4 /\\ 0:eax=0xfffffffc)",
    );
    let states = ends(&test, LitmusModel::Tso);
    let line = "0:al=-4; 0:eax=-4; 0:rax=-4; 0:rdx=4294967292; [b]=255; [d]=-3; [q]=-5; [w]=-2;";
    assert_eq!(test.lines(&states), [line]);
    assert!(Report::new(&test, &states).is_ok());
}

#[test]
fn every_operand_of_the_format_is_parsed() {
    let test = read(
        "X86_64 t\n{ x=7; 0:rsi=x; 0:rbx=1; p=x; *q=y; int64_t 0:r13; }\nP0 ;\n\
         movq (x),%rax ;\n movq [x],%rcx ;\n MOVQ x(%rip),%RDX ;\n movq -8(%rsi,%rbx,8),%rdi ;\n\
         movq 0[%rsi],%r8 ;\n movq $x,%r9 ;\n movq 5,%r10 ;\n leaq 8(%rsi),%r11 ;\n\
         LOCK ; incq (%rsi) ;\n xchgq (x),%r12 ;\n movabsq $0x1234567890,%r13 ;\n\
         movb $255,(z) ;\n addq $-1,%rbx ;\n je L ;\n movq $9,%rbx ;\n L: M: ;\n mov (x),%r14l ;\n\
         forall (0:rax=7 /\\ 0:rcx=7 /\\ 0:rdx=7 /\\ 0:rdi=7 /\\ 0:r8=7 /\\ 0:r9=x /\\ 0:r10=5 /\\\n\
         0:r12=8 /\\ 0:r13=0x1234567890 /\\ z=255 /\\ 0:rbx=0 /\\ p=x /\\ q=y /\\ 0:r9=[p] /\\ 0:r14b=0)",
    );
    let report = ends(&test, LitmusModel::Tso);
    assert!(Report::new(&test, &report).is_ok(), "{:?}", test.lines(&report));
    assert!(test.lines(&report)[0].contains("0:r9=x; "), "{:?}", test.lines(&report));
}

#[test]
fn a_filter_leaves_states_out() {
    let rows = " P0 | P1 ;\n movq $1,(x) | movq (x),%rax ;";
    let test = small(rows, "filter (1:rax=1)\nforall ([x]=1)");
    let states = ends(&test, LitmusModel::Tso);
    assert_eq!(test.lines(&states), ["[x]=1;"]);
    let test = small(rows, "locations [1:rax;]\nfilter (1:rax=1)\nforall (true)");
    assert_eq!(test.lines(&ends(&test, LitmusModel::Tso)), ["1:rax=1;"]);
}

#[test]
fn faults_and_endless_runs_are_undecided() {
    let fault = small(" P0 ;\n movq (%rax),%rbx ;", "exists (true)");
    let why = run(&fault, LitmusModel::Tso, &SearchBudget::default(), &|| false)
        .expect_err("address 0 is not mapped")
        .to_string();
    assert!(why.starts_with("P0: ") && why.contains("faults: vector 14, address 0x0"), "{why}");
    let endless = small(" P0 ;\n L: jmp L ;", "exists (true)");
    let why = run(&endless, LitmusModel::Tso, &SearchBudget::default(), &|| false)
        .expect_err("it never ends")
        .to_string();
    assert_eq!(why, "some runs never end");
}

#[test]
fn a_budget_that_is_used_up_is_named() {
    // The search checks the time every thousand steps.
    let rows = " movq $1,(x) | movq $2,(x) | movq $3,(x) ;\n".repeat(4);
    let test = small(&format!(" P0 | P1 | P2 ;\n{rows}"), "exists (x=1)");
    let plenty = SearchBudget::default();
    for (budget, name) in [
        (SearchBudget { states: 2, ..plenty }, "states"),
        (SearchBudget { bytes: 1, ..plenty }, "memory"),
        (SearchBudget { seconds: 0.0, ..plenty }, "time"),
    ] {
        let why = run(&test, LitmusModel::Tso, &budget, &|| false).expect_err(name).to_string();
        assert_eq!(why, format!("the budget of {name} is used up"));
    }
}

#[test]
fn a_loop_that_ends_runs_to_its_end() {
    let test = small(
        " P0 | P1 ;\n movq $1,(x) | L: cmpq $0,(f) ;\n movq $1,(f) | je L ;\n | movq (x),%rax ;",
        "forall (1:rax=1)",
    );
    let states = ends(&test, LitmusModel::Tso);
    assert_eq!(test.lines(&states), ["1:rax=1;"]);
}

#[test]
fn implication_binds_tighter_than_and_and_or() {
    // The cases follow herd's grammar.
    let implies = |condition: &str| {
        let test = small(" P0 ;\n movq $1,(x) ;\n movq $0,(y) ;", condition);
        let states = ends(&test, LitmusModel::Tso);
        let report = Report::new(&test, &states);
        (report.is_ok(), report.condition())
    };
    let or = implies("forall (x=1 \\/ y=1 => y=1)");
    assert_eq!(or, (true, "forall ([x]=1 \\/ ([y]=1 => [y]=1))".to_owned()));
    let and = implies("exists (y=1 /\\ x=2 => y=1)");
    assert_eq!(and, (false, "exists ([y]=1 /\\ ([x]=2 => [y]=1))".to_owned()));
    let right = implies("forall (x=2 => y=1 => y=2)");
    assert_eq!(right, (true, "forall ([x]=2 => ([y]=1 => [y]=2))".to_owned()));
    let not = implies("forall (not x=1 => y=1)");
    assert_eq!(not, (true, "forall (not ([x]=1) => [y]=1)".to_owned()));
}

#[test]
fn a_test_can_list_its_own_states() {
    let own = "(* States 3 sc\n 1:rax=1; 0:RAX=0;\n 0:rax=0x1; 1:rax=0;\n 0:rax=1; 1:rax=1; *)\n";
    let test = read(&format!("{SB}{own}"));
    let [expected] = &test.expected[..] else { panic!("{:?}", test.expected) };
    assert_eq!(expected.models, [LitmusModel::Sc]);
    assert!(
        StateDifference::of_states(&test, &ends(&test, LitmusModel::Sc), &expected.states)
            .is_none()
    );
    let difference =
        StateDifference::of_states(&test, &ends(&test, LitmusModel::Tso), &expected.states);
    assert_eq!(difference.extra, ["0:rax=0; 1:rax=0;"]);
    assert_eq!(difference.missing, Vec::<String>::new());
}

#[test]
fn logs_of_herd_and_litmus_are_parsed() {
    let herd = "Test SB Allowed\nStates 3\n0:rax=0; 1:rax=1;\n 0:RAX=1;1:rax=0 ;\n0:rax=2; 1:rax=1;\n\
        No\nWitnesses\nPositive: 0 Negative: 3\nObservation SB Never 0 3\nTime SB 0.00\n\n";
    let log = Log::parse(herd).expect("a log");
    let test = read(SB);
    let difference = compare(&test, &ends(&test, LitmusModel::Sc), &log.tests["SB"]).1;
    assert_eq!(difference.missing, ["0:rax=2; 1:rax=1;"]);
    assert_eq!(difference.extra, ["0:rax=1; 1:rax=1;"]);
    let litmus = "Test SB Allowed\nHistogram (4 states)\n12    *>0:rax=0; 1:rax=0;\n\
        4999  :>0:rax=1; 1:rax=0;\n1     :>1:rax=1; 0:rax=0;\n88    :>0:rax=1; 1:rax=1;\nOk\n\n\
        Observation SB Sometimes 12 5088\n";
    let log = Log::parse(litmus).expect("a log");
    let difference = compare(&test, &ends(&test, LitmusModel::Tso), &log.tests["SB"]).1;
    assert!(difference.is_none(), "{difference:?}");
}

#[test]
fn brackets_and_signs_do_not_matter_to_logs() {
    let test = read("X86_64 t\n{ p=x; }\nP0 ;\n movq $-1,(x) ;\nexists ([x]=-1 /\\ [p]=x)");
    let states = ends(&test, LitmusModel::Tso);
    for state in ["x=-1; p=x;", "[p]=x; [x]=18446744073709551615;", "x=0xffffffffffffffff; [p]=x;"]
    {
        let log = Log::parse(&format!("Test t Allowed\nStates 1\n{state}\n")).expect("a log");
        assert!(compare(&test, &states, &log.tests["t"]).1.is_none(), "{state}");
    }
    let log = Log::parse("Test t Allowed\nStates 1\nx=-1; y=0;\n").expect("a log");
    let other = compare(&test, &states, &log.tests["t"]).1.other;
    assert_eq!(other.as_deref(), Some("cannot be compared: this test does not observe `y`"));
}

#[test]
fn without_states_the_observation_is_compared() {
    let log = Log::parse("Observation SB Never 0 3\nObservation MP Never\n").expect("a log");
    assert_eq!(log.tests.len(), 2);
    let test = read(SB);
    let difference = compare(&test, &ends(&test, LitmusModel::Tso), &log.tests["SB"]).1;
    let said = "the log observes Never, the model Sometimes";
    assert_eq!(difference.other.as_deref(), Some(said));
    assert!(compare(&test, &ends(&test, LitmusModel::Sc), &log.tests["SB"]).1.is_none());
}

#[test]
fn a_name_may_be_listed_more_than_once() {
    let entry = |n| format!("Test t Allowed\nStates 1\nx={n};\nObservation t Never 0 1\n");
    let log = Log::parse(&(entry(1) + &entry(2))).expect("a log");
    let of = |n| {
        let test = read(&format!("X86_64 t\n{{ }}\nP0 ;\n movq ${n},(x) ;\nexists (x=0)"));
        let (line, difference) = compare(&test, &ends(&test, LitmusModel::Tso), &log.tests["t"]);
        (line, difference.missing)
    };
    assert_eq!([of(1), of(2)], [(1, vec![]), (5, vec![])]);
    assert_eq!(of(3), (1, vec!["[x]=1;".into()]));
}

#[test]
fn an_access_must_stay_within_its_location() {
    let outside = [
        ("{ uint64_t x; 0:rsi=x; }", "movl $1,64(%rsi)", "4 bytes at x+64"),
        ("{ uint64_t x; uint64_t y; 0:rsi=x; }", "movq $1,4(%rsi)", "4 bytes at x+8"),
        ("{ uint32_t x; 0:rsi=x; }", "movb 4(%rsi),%al", "1 byte at x+4"),
        ("{ int t[3]; 0:rsi=t; 0:rbx=2; }", "movq (%rsi,%rbx,4),%rax", "8 bytes at t[2]"),
    ];
    for (initial, instruction, told) in outside {
        let test = read(&format!("X86_64 t\n{initial}\nP0 ;\n {instruction} ;\nexists (true)"));
        let why = run(&test, LitmusModel::Tso, &SearchBudget::default(), &|| false)
            .expect_err(instruction)
            .to_string();
        assert!(why.starts_with("P0: ") && why.contains(&format!(" accesses {told}")), "{why}");
    }
    let within = "X86_64 t\n{ int t[3]={1,2,3}; 0:rsi=t; }\nP0 ;\n movq 4(%rsi),%rax ;\n \
        movl $4,8(%rsi) ;\nlocations [t; 0:rax int64_t;]\nforall (t[2]=4)";
    let test = read(within);
    assert_eq!(
        test.lines(&ends(&test, LitmusModel::Tso)),
        ["0:rax=12884901890; t={1,2,4}; t[2]=4;"]
    );
}

#[test]
fn a_processor_need_not_show_every_state() {
    let test = read(SB);
    let states = ends(&test, LitmusModel::Tso);
    let with = |text: &str| {
        let log = Log::parse(text).expect("a log");
        litmus::compare_subset(&test, &states, &log.tests["SB"]).1
    };
    let histogram = |lines: &[&str]| {
        let count = lines.len();
        format!("Test SB Allowed\nHistogram ({count} states)\n{}\n", lines.join("\n"))
    };
    let few = histogram(&["9 :>0:rax=1; 1:rax=0;", "8 :>0:rax=0; 1:rax=1;"]);
    assert!(with(&few).is_none());
    let more = histogram(&["9 :>0:rax=1; 1:rax=0;", "1 :>0:rax=2; 1:rax=1;"]);
    assert_eq!(with(&more).missing, ["0:rax=2; 1:rax=1;"]);
    // Two runs of one test: both must be subsets.
    assert_eq!(with(&(few + &more)).missing, ["0:rax=2; 1:rax=1;"]);
    let too_large = histogram(&["9 :>0:rax=4294967297; 1:rax=0;"]);
    let why = with(&too_large).other.expect("no state of the test");
    assert!(why.contains("4294967297 does not fit in the 4 bytes of `0:rax`"), "{why}");
    assert!(with("Observation SB Never 0 100\n").is_none());
    assert!(with("Observation SB Sometimes 1 100\n").is_none());
    let sc = ends(&test, LitmusModel::Sc);
    let log = Log::parse("Observation SB Always 7 0\n").expect("a log");
    let other = litmus::compare_subset(&test, &sc, &log.tests["SB"]).1.other;
    assert_eq!(other.as_deref(), Some("the log observes Always, the model Never"));
}

#[test]
fn a_test_can_state_the_known_result_under_tso() {
    let of = |kinds: &str| {
        read(&format!("X86 t\n{{ }}\nP0 ;\n MOV [x],$1 ;\nfinal (x=0);\nwith\n{kinds}")).result
    };
    assert_eq!(of("sc: exists; tso: ~exists; default: exists;"), Some("Never"));
    assert_eq!(of("tso: exists;"), None);
    assert_eq!(of("cc: ~exists;\n<<\nshow generated/t.tex\n>>\n"), None);
}

#[test]
fn text_that_is_not_a_log_is_refused() {
    for (text, said) in [
        ("nothing\n", "line 1: this is not a log of herd or litmus7: no line starts with `Test`"),
        ("Test a X\nStates 2\nx=1;\n", "line 2: 2 states are announced, but fewer follow"),
        ("Test a X\nStates 1\nx=1;\nx=2;\n", "line 2: 1 states are announced, but more follow"),
    ] {
        assert_eq!(Log::parse(text).map_err(|error| error.to_string()), Err(said.into()));
    }
}
