#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    spinlane_fuzz::venues::oanda(data);
});
