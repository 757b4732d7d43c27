//! The port of the cipher that protects secrets at rest. The key is not the store's business.

/// Seals secrets before they are stored.
pub trait Seal: Send + Sync {
    /// Encrypts and authenticates `text`. `context` names the kind and the owner of the text and must be the same when
    /// the text is opened: one sealed text cannot replace another.
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8>;
    /// Decrypts what [`seal`](Seal::seal) has returned for the same context.
    ///
    /// # Errors
    /// Another key, another context or a damaged text: the reason as a clause without secrets.
    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String>;
}
