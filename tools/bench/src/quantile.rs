//! Quantiles of a sorted sample.

/// The smallest value that `share` (0 to 1) of the sample does not exceed; 0 for an empty sample.
#[must_use]
pub fn of_sorted(sample: &[u32], share: f64) -> u32 {
    let rank = (sample.len() as f64 * share).ceil() as usize;
    if sample.is_empty() { 0 } else { sample[rank.clamp(1, sample.len()) - 1] }
}

#[cfg(test)]
mod tests {
    use super::of_sorted;

    #[test]
    fn quantile_is_the_smallest_value_not_exceeded() {
        let sample: Vec<u32> = (1..=100).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| of_sorted(&sample, share)), [1, 50, 99, 100]);
        assert_eq!(of_sorted(&[], 0.5), 0);
    }
}
