//! `docrelay hook`: the URLs that vendors call. The output is the JSON of the API.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::io::{HOOK_SECRET_VARIABLE, read_secret};
use super::session::{ApiRequest, Caller, print_response, with_session};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Mapping, Vendor, Verify};
use crate::manage::NewHook;
use crate::vendor;

/// Manage hooks
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum HookCommand {
    /// Add a hook and print it
    Add(Box<AddHook>),
    /// Print a client's hooks, oldest first, one per line
    List(ListHooks),
    /// Remove a hook; calls to its URL get 404
    Remove(RemoveHook),
}

/// Arguments of `hook add`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct AddHook {
    /// Client that owns the hook
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Vendor that calls the hook: ppj, baidu, zoffice, gini, standard or generic
    #[arg(long)]
    vendor: Vendor,
    /// Name of the hook
    #[arg(long)]
    name: Option<String>,
    /// How requests are verified: none, ppj, baidu, cookie, authorization, standard or hmac-sha256. All but none need a
    /// secret, from --secret-file or the environment variable DOCRELAY_HOOK_SECRET. Default: the vendor's only
    /// type if there is a secret, otherwise none
    #[arg(long, value_name = "TYPE")]
    verify: Option<String>,
    /// File that contains the secret; - is the standard input. A second line is the second secret of a rotation
    /// (standard)
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Which requests PPJ signs: a (verification only) or b (all) (ppj)
    #[arg(long, value_name = "EDITION")]
    edition: Option<String>,
    /// Header of the hmac-sha256 signature
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// Text before the hmac-sha256 signature, such as sha256=
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Encoding of the hmac-sha256 signature: hex or base64
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<String>,
    /// Label copied into every event; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Request cookie copied into the labels (zoffice); repeatable
    #[arg(long = "label-cookie", value_name = "NAME")]
    label_cookies: Vec<String>,
    /// JSON Pointers to the fields of a generic hook, as JSON: {"vendorId":"/job/id","status":"/state","statuses":{…}}
    #[arg(long, value_name = "JSON", value_parser = mapping)]
    mapping: Option<Mapping>,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `hook list`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListHooks {
    /// Client that owns the hooks
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `hook remove`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct RemoveHook {
    /// Id of the hook, as `hook list` prints it
    #[arg(value_name = "HOOK")]
    id: Uuid,
    /// Client that owns the hook
    #[arg(long, value_name = "ID")]
    client: ClientId,
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
        match self {
            Self::Add(add) => &add.flags,
            Self::List(list) => &list.flags,
            Self::Remove(remove) => &remove.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => {
                let new = serde_json::to_value(add.new_hook()?)?;
                print_response(config, &add.client, ApiRequest::post("/hooks", Some(new)))
            }
            Self::List(list) => with_session(config, async |session| {
                session.pages(Caller::Client(&list.client), "/hooks", "hooks").print().await
            }),
            Self::Remove(remove) => {
                let request = ApiRequest::delete(format!("/hooks/{}", remove.id));
                with_session(config, async |s| s.as_client(&remove.client, request).await).map(|_| ())
            }
        }
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
        let secret = read_secret("secret", self.secret_file.as_deref(), HOOK_SECRET_VARIABLE)?;
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
            (other, None) => bail!("verify type {other} needs a secret: --secret-file or {HOOK_SECRET_VARIABLE}"),
            ("standard", Some(text)) => {
                let secrets: Vec<&str> = text.split_whitespace().collect();
                verify.insert("secrets".into(), json!(secrets));
            }
            (_, Some(text)) => {
                verify.insert("secret".into(), json!(text));
            }
        }
        serde_json::from_value(Value::Object(verify)).context("the verification is invalid")
    }

    /// The type of the verification. A secret is never ignored: without `--verify`, its owner would believe that the
    /// hook verifies signatures.
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
