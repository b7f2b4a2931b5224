#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    posthouse_fuzz_targets::kafka::sasl_plain(input);
});
