//! The program that proves the sensor, in a test machine and on this one.
fn main() {
    eprintln!("hello {:?}", std::env::args().collect::<Vec<_>>());
}
