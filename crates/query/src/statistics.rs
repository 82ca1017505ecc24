//! What can be said of a rate, and of two: intervals, a ratio, an exact test. Each function names its source; the tests
//! hold it against SciPy and R.

/// The 97.5 % point of the standard normal distribution: what a two-sided interval of 95 % goes by.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// From where until where.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The lower end.
    pub from: f64,
    /// The upper end; without bound if it is missing.
    pub until: Option<f64>,
}

/// The score interval of a proportion at 95 %, without continuity correction (Wilson 1927, JASA 22, 209-212).
///
/// `n` may be an effective number, and need not be whole. Nothing if there is nothing to go by.
pub fn wilson(rate: f64, n: f64) -> Option<Interval> {
    if n.is_nan() || n <= 0.0 || !(0.0..=1.0).contains(&rate) {
        return None;
    }
    let z2 = Z_95 * Z_95;
    let centre = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the two terms are equal, but for rounding.
    let from = if rate == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let until = if rate == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { from, until: Some(until) })
}

/// The ratio of two rates, and its interval at 95 % on the scale of logarithms (Katz, Baptista, Azen, Pike 1978,
/// Biometrics 34, 469-474): with x of n, the variance of the logarithm is the sum of 1/x - 1/n = (1 - rate)/(n · rate).
///
/// Nothing where the reference never happens. Where this one never happens the ratio is 0, and the method has no
/// interval.
pub fn ratio((rate, n): (f64, f64), (reference, of): (f64, f64)) -> Option<(f64, Option<Interval>)> {
    if n.is_nan() || of.is_nan() || n <= 0.0 || of <= 0.0 || reference.is_nan() || reference <= 0.0 {
        return None;
    }
    let ratio = rate / reference;
    if ratio <= 0.0 {
        return Some((0.0, None));
    }
    let variance = (1.0 - rate) / (n * rate) + (1.0 - reference) / (of * reference);
    let half = Z_95 * variance.max(0.0).sqrt();
    let interval = Interval { from: (ratio.ln() - half).exp(), until: Some((ratio.ln() + half).exp()) };
    Some((ratio, Some(interval)))
}

/// Fisher's exact test, two-sided: the probability, all margins given, of a table no more probable than this one
/// (Fisher 1935; the tables that count are those of R's `fisher.test` and SciPy's `fisher_exact`).
///
/// `x` of `n` here and `y` of `m` there. The probabilities are walked from the most probable table outwards by the
/// ratio of neighbours, so that no logarithm of a factorial loses digits; what is below 10⁻³⁰⁰ of the most probable one
/// counts as 0.
pub fn fisher((x, n): (u64, u64), (y, m): (u64, u64)) -> f64 {
    // As in R: tables are as probable as this one within rounding.
    const EQUAL: f64 = 1.0 + 1e-7;
    const NOTHING: f64 = 1e-300;
    let drawn = x + y;
    let (least, most) = (drawn.saturating_sub(m), drawn.min(n));
    let mode = (((n as f64 + 1.0) * (drawn as f64 + 1.0)) / ((n + m) as f64 + 2.0)) as u64;
    let mode = mode.clamp(least, most);
    // The probability of k + 1 over that of k.
    let up = |k: u64| {
        let stay = (m + k + 1 - drawn) as f64;
        ((n - k) as f64 * (drawn - k) as f64) / ((k + 1) as f64 * stay)
    };
    let walk = |mut take: &mut dyn FnMut(u64, f64)| {
        let each = &mut take;
        let (mut k, mut p) = (mode, 1.0);
        each(k, p);
        while k < most && p > NOTHING {
            p *= up(k);
            k += 1;
            each(k, p);
        }
        (k, p) = (mode, 1.0);
        while k > least && p > NOTHING {
            k -= 1;
            p /= up(k);
            each(k, p);
        }
    };
    let (mut all, mut this) = (0.0, 0.0);
    walk(&mut |k, p| {
        all += p;
        if k == x {
            this = p;
        }
    });
    let mut extreme = 0.0;
    walk(&mut |_, p| {
        if p <= this * EQUAL {
            extreme += p;
        }
    });
    (extreme / all).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64, tolerance: f64) {
        assert!((left - right).abs() <= tolerance * right.abs().max(1e-12), "{left} is not {right}");
    }

    /// scipy 1.17.1: `stats.binomtest(x, n).proportion_ci(method="wilson")`.
    #[test]
    fn wilson_agrees_with_scipy() {
        for (x, n, from, until) in include!("statistics/wilson.in") {
            let interval = wilson(f64::from(x) / f64::from(n), f64::from(n)).unwrap();
            assert!((interval.from - from).abs() < 1e-12, "{x} of {n}: {interval:?}, not {from}");
            assert!((interval.until.unwrap() - until).abs() < 1e-12, "{x} of {n}: {interval:?}, not {until}");
        }
        assert_eq!(wilson(0.5, 0.0), None);
        assert_eq!(wilson(f64::NAN, 10.0), None);
    }

    /// scipy 1.17.1: `stats.fisher_exact([[x, n - x], [y, m - y]])`.
    #[test]
    fn fisher_agrees_with_scipy() {
        for (x, n, y, m, p) in include!("statistics/fisher.in") {
            near(fisher((x, n), (y, m)), p, 1e-6);
            near(fisher((y, m), (x, n)), p, 1e-6);
        }
    }

    /// R 4.x, `fisher.test(matrix(c(3, 1, 1, 3), 2))`: the lady tasting tea, p = 34/70.
    #[test]
    fn fisher_agrees_with_the_book() {
        near(fisher((3, 4), (1, 4)), 34.0 / 70.0, 1e-14);
        near(fisher((0, 0), (3, 9)), 1.0, 1e-14);
        near(fisher((0, 5), (0, 9)), 1.0, 1e-14);
    }

    /// scipy 1.17.1: `stats.contingency.relative_risk(x, n, y, m).confidence_interval(0.95)`, which is Katz's.
    #[test]
    fn ratios_agree_with_scipy() {
        for (x, n, y, m, wanted, from, until) in include!("statistics/ratio.in") {
            let rate = |x: i32, n: i32| (f64::from(x) / f64::from(n), f64::from(n));
            let (found, interval) = ratio(rate(x, n), rate(y, m)).unwrap();
            let interval = interval.unwrap();
            near(found, wanted, 1e-12);
            near(interval.from, from, 1e-12);
            near(interval.until.unwrap(), until, 1e-12);
        }
        assert_eq!(ratio((0.1, 10.0), (0.0, 10.0)), None);
        assert_eq!(ratio((0.0, 10.0), (0.1, 10.0)), Some((0.0, None)));
    }

    /// Why a ratio of rates is never shown without its interval: of two groups of 100 that are treated alike, at a rate
    /// of 10 %, one falls short of four fifths of the other more often than not.
    #[test]
    fn four_fifths_are_missed_by_equal_groups() {
        let mut binomial = vec![0.9f64.powi(100)];
        for k in 0..100 {
            let next = binomial[k] * (100 - k) as f64 / (k + 1) as f64 * 0.1 / 0.9;
            binomial.push(next);
        }
        let mut below = 0.0;
        for (x, p) in binomial.iter().enumerate() {
            for (y, q) in binomial.iter().enumerate() {
                if 5 * x.min(y) < 4 * x.max(y) {
                    below += p * q;
                }
            }
        }
        // The same sum in Python, by math.comb: 0.588098.
        near(below, 0.588_098, 1e-6);
    }
}
