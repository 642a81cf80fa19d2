//! Randomness that is the same on every run and in every release.

/// A SplitMix64 stream: eight bytes per device, which is why it is here and no crate's
/// generator is, and whose numbers no update of a dependency changes.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Seed {
        Seed(seed)
    }

    /// Another stream that belongs to `index`, the same each time it is asked for.
    pub fn of(&self, index: u64) -> Seed {
        let mut mixed = Seed(self.0 ^ index.wrapping_mul(0xA24B_AED4_963E_E407));
        Seed(mixed.draw())
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between 0 and `end`, without `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        match end {
            0 => 0,
            end => self.draw() % end,
        }
    }

    /// Between 0 and 1.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits: what an f64 holds exactly.
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// As many lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut out = String::with_capacity(digits + 16);
        while out.len() < digits {
            out.push_str(&format!("{:016x}", self.draw()));
        }
        out.truncate(digits);
        out
    }
}
