//! Bodies and queries of the vendors, from `tests/fixtures`, whose README names the sources.

pub(crate) const PPJ_VALIDATION: &str = include_str!("../../fixtures/ppj/validation.query");
pub(crate) const PPJ_VERIFY: &str = include_str!("../../fixtures/ppj/verify.query");
pub(crate) const PPJ_VERIFY_UNSIGNED: &str = include_str!("../../fixtures/ppj/verify-unsigned.query");
pub(crate) const PPJ_COMPLETE: &str = include_str!("../../fixtures/ppj/complete.query");
pub(crate) const PPJ_COMPLETED: &str = include_str!("../../fixtures/ppj/completed.query");
pub(crate) const PPJ_COMPLETE_FORM: &str = include_str!("../../fixtures/ppj/complete.form");
pub(crate) const PPJ_ERROR: &str = include_str!("../../fixtures/ppj/error.query");

pub(crate) const BAIDU_PUBLISHED: &str = include_str!("../../fixtures/baidu/published.json");
pub(crate) const BAIDU_FAILED: &str = include_str!("../../fixtures/baidu/failed.json");

pub(crate) const ZOFFICE_SUCCESS: &str = include_str!("../../fixtures/zoffice/success.json");
pub(crate) const ZOFFICE_FAILURE: &str = include_str!("../../fixtures/zoffice/failure.json");
pub(crate) const ZOFFICE_HANDING: &str = include_str!("../../fixtures/zoffice/handing.json");

pub(crate) const GINI_PENDING: &str = include_str!("../../fixtures/gini/pending.json");
pub(crate) const GINI_COMPLETED: &str = include_str!("../../fixtures/gini/completed.json");
pub(crate) const GINI_ERROR: &str = include_str!("../../fixtures/gini/error.json");
pub(crate) const GINI_STREAM: &str = include_str!("../../fixtures/gini/stream.txt");

pub(crate) const STANDARD_COMPLETED: &str = include_str!("../../fixtures/standard/completed.json");
pub(crate) const STANDARD_FAILED: &str = include_str!("../../fixtures/standard/failed.json");
pub(crate) const CLOUDEVENT_STRUCTURED: &str = include_str!("../../fixtures/cloudevents/structured.json");
pub(crate) const CLOUDEVENT_BINARY: &str = include_str!("../../fixtures/cloudevents/binary.json");
