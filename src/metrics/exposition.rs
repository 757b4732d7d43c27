//! The two exposition formats of Prometheus. The encoder writes OpenMetrics; the older text format is derived from it.

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// The text format 0.0.4, which every tool for Prometheus reads.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl ExpositionFormat {
    /// The `Content-Type` of the format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Rewrites OpenMetrics as the text format. The samples are equal. The text format describes a metric under the name of
/// its samples, has no type `info`, no units and no end mark. In the input, the help of a metric precedes its type.
pub(super) fn text_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            text += &format!("# HELP {family}{suffix} {help}\n# TYPE {family}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_format_names_families_by_their_samples() {
        let open_metrics = "# HELP a Of a.\n# TYPE a counter\n# UNIT a bytes\na_total{x=\"# y\"} 1\n\
             # HELP b Of b.\n# TYPE b info\nb_info{version=\"1\"} 1\n\
             # HELP c Of c.\n# TYPE c histogram\nc_sum 0.0\nc_bucket{le=\"+Inf\"} 0\n# EOF\n";
        let text = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"# y\"} 1\n\
             # HELP b_info Of b.\n# TYPE b_info gauge\nb_info{version=\"1\"} 1\n\
             # HELP c Of c.\n# TYPE c histogram\nc_sum 0.0\nc_bucket{le=\"+Inf\"} 0\n";
        assert_eq!(super::text_format(open_metrics), text);
    }
}
