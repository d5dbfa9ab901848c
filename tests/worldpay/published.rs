//! The vendor's words.

/// The message that goes with the name of an error, where there is just one.
pub(crate) fn published(name: &str) -> Option<&'static str> {
    Some(match name {
        "bodyIsEmpty" => "The body within the request is empty",
        "bodyIsNotJson" => "The body within the request is not valid json",
        "bodyDoesNotMatchSchema" => "The json body provided does not match the expected schema",
        "unsupportedContentType" => "Content-type header is not supported",
        "unauthorized" => "Invalid authentication",
        "accessDenied" => "Access to the requested resource has been denied",
        "tooManyTokensForNamespace" => "Too many tokens created for this namespace",
        "resourceNotFound" => "Requested resource was not found",
        "endpointNotFound" => "Requested endpoint was not found",
        "methodNotAllowed" => "Requested method is not allowed",
        "unrecognizedCardBrand" => "The card brand is not recognized",
        "maximumUpdatesExceeded" => "Maximum number of updates for this token exceeded",
        "tokenExpiryDateExceededMaximum" => "Token expiry exceeds maximum time range",
        "tokenizationNotEnabled" => "Tokenization not enabled",
        "internalErrorOccurred" => "Internal server error",
        "nptConfigurationError" => "Account not configured to use NPT",
        "networkProviderError" => "Network Token Provider Error",
        _ => return None,
    })
}
