//! `docrelay hook add`: prints the new hook as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::reach::{ApiRequest, with_session};
use super::{print, secret};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Mapping, NewHook, Vendor, Verify};
use crate::vendor;

/// The environment variable that may hold the secret.
const SECRET: &str = "DOCRELAY_HOOK_SECRET";

/// Manage hooks
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum HookCommand {
    /// Add a hook and print it
    Add(Box<AddHook>),
}

/// Arguments of `hook add`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct AddHook {
    /// The client that owns it
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Who will call: ppj, baidu, zoffice, gini, standard or generic
    #[arg(long)]
    vendor: Vendor,
    /// A name for it
    #[arg(long)]
    name: Option<String>,
    /// How callers prove themselves: none, ppj, baidu, cookie, authorization, standard or hmac-sha256. All but none
    /// need a secret, from --secret-file or the environment variable DOCRELAY_HOOK_SECRET. Default: the vendor's only
    /// type if there is a secret, otherwise none
    #[arg(long, value_name = "TYPE")]
    verify: Option<String>,
    /// File that holds the secret, `-` for stdin; a second line is the second secret of a rotation (standard)
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Which requests PPJ signs: a (verification only) or b (all) (ppj)
    #[arg(long, value_name = "EDITION")]
    edition: Option<String>,
    /// Header that carries the signature (hmac-sha256)
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// What stands before the signature (hmac-sha256)
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// How the signature is written: hex or base64 (hmac-sha256)
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<String>,
    /// Label copied into every event; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Inbound cookie copied into the labels (zoffice); may be given again
    #[arg(long = "label-cookie", value_name = "NAME")]
    label_cookies: Vec<String>,
    /// Where a generic hook finds things, as JSON: {"vendorId":"/job/id","status":"/state","statuses":{…}}
    #[arg(long, value_name = "JSON", value_parser = mapping)]
    mapping: Option<Mapping>,
    #[command(flatten)]
    flags: Flags,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label has the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn mapping(text: &str) -> Result<Mapping, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

impl HookCommand {
    pub(super) fn flags(&self) -> &Flags {
        let Self::Add(add) = self;
        &add.flags
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let Self::Add(add) = self;
        let new = serde_json::to_value(add.new_hook()?)?;
        let request = ApiRequest::post("/hooks", Some(new));
        let created = with_session(config, async |s| s.as_client(&add.client, request).await)?;
        print(&created.to_string());
        Ok(())
    }
}

impl AddHook {
    fn new_hook(&self) -> anyhow::Result<NewHook> {
        Ok(NewHook {
            vendor: self.vendor,
            verify: self.verify()?,
            name: self.name.clone(),
            labels: self.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            label_cookies: self.label_cookies.clone(),
            mapping: self.mapping.clone(),
        })
    }

    /// The same JSON as in `POST /hooks`, read by the same rules.
    fn verify(&self) -> anyhow::Result<Verify> {
        let secret = secret::read(self.secret_file.as_deref(), SECRET)?;
        let kind = self.verify_type(secret.is_some())?;
        let mut verify = Map::new();
        verify.insert("type".into(), json!(kind));
        let keys = [
            ("edition", &self.edition),
            ("header", &self.header),
            ("prefix", &self.prefix),
            ("encoding", &self.encoding),
        ];
        for (key, value) in keys {
            if let Some(value) = value {
                verify.insert(key.into(), json!(value));
            }
        }
        match (kind, secret) {
            ("none", _) => {}
            (other, None) => bail!("verify type {other} needs a secret: --secret-file or {SECRET}"),
            ("standard", Some(text)) => {
                let secrets: Vec<&str> = text.split_whitespace().collect();
                verify.insert("secrets".into(), json!(secrets));
            }
            (_, Some(text)) => {
                verify.insert("secret".into(), json!(text));
            }
        }
        serde_json::from_value(Value::Object(verify)).context("the verification makes no sense")
    }

    /// The type of the verification. A secret is never ignored: without `--verify`, its owner would believe that the hook
    /// verifies signatures.
    fn verify_type(&self, has_secret: bool) -> anyhow::Result<&str> {
        match self.verify.as_deref() {
            Some("none") if self.secret_file.is_some() => {
                bail!("--verify none needs no secret: omit --secret-file, or name another type with --verify")
            }
            Some(kind) => Ok(kind),
            None if !has_secret => Ok("none"),
            None => {
                let types: Vec<&str> = vendor::secret_types(self.vendor).collect();
                let [only] = types[..] else {
                    bail!("a secret for a {} hook needs --verify with one of {}", self.vendor, types.join(", "))
                };
                Ok(only)
            }
        }
    }
}
