//! What a client can ask for: `apiOperation` in name-value pairs, method and path in REST.

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiOperation {
    Authorize,
    Capture,
    CheckGateway,
    CreateSession,
    DeleteToken,
    Pay,
    Refund,
    RetrieveOrder,
    RetrieveSession,
    RetrieveToken,
    RetrieveTransaction,
    SearchTokens,
    Tokenize,
    UpdateAuthorization,
    UpdateSession,
    Verify,
    Void,
}

impl ApiOperation {
    /// All of them.
    pub(super) const ALL: [Self; 17] = [
        Self::Authorize,
        Self::Capture,
        Self::CheckGateway,
        Self::CreateSession,
        Self::DeleteToken,
        Self::Pay,
        Self::Refund,
        Self::RetrieveOrder,
        Self::RetrieveSession,
        Self::RetrieveToken,
        Self::RetrieveTransaction,
        Self::SearchTokens,
        Self::Tokenize,
        Self::UpdateAuthorization,
        Self::UpdateSession,
        Self::Verify,
        Self::Void,
    ];

    /// What `apiOperation` says.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Authorize => "AUTHORIZE",
            Self::Capture => "CAPTURE",
            Self::CheckGateway => "CHECK_GATEWAY",
            Self::CreateSession => "CREATE_SESSION",
            Self::DeleteToken => "DELETE_TOKEN",
            Self::Pay => "PAY",
            Self::Refund => "REFUND",
            Self::RetrieveOrder => "RETRIEVE_ORDER",
            Self::RetrieveSession => "RETRIEVE_SESSION",
            Self::RetrieveToken => "RETRIEVE_TOKEN",
            Self::RetrieveTransaction => "RETRIEVE_TRANSACTION",
            Self::SearchTokens => "SEARCH_TOKENS",
            Self::Tokenize => "TOKENIZE",
            Self::UpdateAuthorization => "UPDATE_AUTHORIZATION",
            Self::UpdateSession => "UPDATE_SESSION",
            Self::Verify => "VERIFY",
            Self::Void => "VOID",
        }
    }

    /// The operation of that name, or of the name that it had before.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "RETRIEVE_CARD" => Some(Self::RetrieveToken),
            "SEARCH_TOKEN" => Some(Self::SearchTokens),
            _ => Self::ALL.into_iter().find(|operation| operation.name() == name),
        }
    }

    /// Whether it does something to an order.
    pub(super) fn is_transaction(self) -> bool {
        match self {
            Self::Authorize
            | Self::Capture
            | Self::Pay
            | Self::Refund
            | Self::UpdateAuthorization
            | Self::Verify
            | Self::Void => true,
            Self::CheckGateway
            | Self::CreateSession
            | Self::DeleteToken
            | Self::RetrieveOrder
            | Self::RetrieveSession
            | Self::RetrieveToken
            | Self::RetrieveTransaction
            | Self::SearchTokens
            | Self::Tokenize
            | Self::UpdateSession => false,
        }
    }

    /// Its letter in `fields.txt`; none for the one that takes no fields.
    pub(super) fn letter(self) -> Option<char> {
        match self {
            Self::Authorize => Some('A'),
            Self::Capture => Some('C'),
            Self::CheckGateway => None,
            Self::CreateSession => Some('N'),
            Self::DeleteToken => Some('D'),
            Self::Pay => Some('P'),
            Self::Refund => Some('R'),
            Self::RetrieveOrder => Some('O'),
            Self::RetrieveSession => Some('L'),
            Self::RetrieveToken => Some('G'),
            Self::RetrieveTransaction => Some('X'),
            Self::SearchTokens => Some('Q'),
            Self::Tokenize => Some('T'),
            Self::UpdateAuthorization => Some('U'),
            Self::UpdateSession => Some('S'),
            Self::Verify => Some('F'),
            Self::Void => Some('V'),
        }
    }

    /// The fields that name what it works on: in REST they stand in the path and nowhere else.
    pub(super) fn ids(self) -> &'static [&'static str] {
        match self {
            Self::Authorize
            | Self::Capture
            | Self::Pay
            | Self::Refund
            | Self::RetrieveTransaction
            | Self::UpdateAuthorization
            | Self::Verify
            | Self::Void => &["order.id", "transaction.id"],
            Self::CheckGateway | Self::CreateSession | Self::SearchTokens => &[],
            Self::DeleteToken | Self::RetrieveToken | Self::Tokenize => &["token"],
            Self::RetrieveOrder => &["order.id"],
            Self::RetrieveSession | Self::UpdateSession => &["session.id"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_letters_are_unlike_and_read_back() {
        for operation in ApiOperation::ALL {
            assert_eq!(ApiOperation::parse(operation.name()), Some(operation));
        }
        let mut letters: Vec<_> = ApiOperation::ALL.into_iter().filter_map(ApiOperation::letter).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), ApiOperation::ALL.len() - 1);
    }

    #[test]
    fn older_names_are_understood() {
        assert_eq!(ApiOperation::parse("RETRIEVE_CARD"), Some(ApiOperation::RetrieveToken));
        assert_eq!(ApiOperation::parse("SEARCH_TOKEN"), Some(ApiOperation::SearchTokens));
        for name in ["", "tokenize", "BALANCE_INQUIRY"] {
            assert_eq!(ApiOperation::parse(name), None, "{name}");
        }
    }
}
