//! What the page looks like. Everything that comes from outside is escaped.

use std::fmt::Write;

use super::{CONSENT, is_earnest};
use crate::payment::shopper::{PageView, PaymentStatus, PaymentView, StoredCard, Usage};

/// How it looks.
pub(super) const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1c1f24}
main{max-width:26rem;margin:2rem auto;padding:1.5rem;background:#fff;border:1px solid #d9dce1;border-radius:.5rem}
h1{font-size:1.6rem;margin:0 0 1rem}
label{display:block;margin:.75rem 0}
input[type=text]{display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit;border:1px solid #8b919b;border-radius:.25rem}
.row{display:flex;gap:.75rem}.row label{flex:1}
button{width:100%;padding:.75rem;font:inherit;font-weight:600;color:#fff;background:#14532d;border:0;border-radius:.25rem}
.test{background:#fef3c7;border:1px solid #b45309;padding:.5rem;margin-bottom:1rem}
.wrong{background:#fee2e2;border:1px solid #b91c1c;padding:.5rem;margin-bottom:1rem}
";

/// Whether there is nothing to pay any more.
pub(super) fn is_over(payment: &PaymentView) -> bool {
    payment.status != PaymentStatus::Processing || payment.is_unknown()
}

/// A page with nothing but a text.
pub(super) fn message(text: &str) -> String {
    whole("Payment", &format!("<p role=\"alert\">{}</p>", escaped(text)))
}

/// The payment's page; `wrong`: what the payer is to be told.
pub(super) fn page(view: &PageView, wrong: Option<&str>) -> String {
    let mut main = String::new();
    if !is_earnest(view) {
        main.push_str("<p class=\"test\">TEST: payments on this page are simulated, and no money moves.</p>");
    }
    let amount = format!(
        "{} {}",
        view.payment.currency.as_str(),
        view.payment.amount.decimal(view.payment.currency)
    );
    // writing to a string does not fail
    let _ = write!(main, "<h1>{}</h1>", escaped(&amount));
    if let Some(wrong) = wrong {
        let _ = write!(main, "<p class=\"wrong\" role=\"alert\">{}</p>", escaped(wrong));
    }
    match is_over(&view.payment) {
        true => over(view, &mut main),
        false => form(view, &amount, &mut main),
    }
    whole(&amount, &main)
}

fn over(view: &PageView, main: &mut String) {
    let text = match view.payment.status {
        PaymentStatus::Success | PaymentStatus::Authorized => "Thank you: the payment was successful.",
        PaymentStatus::Failure => "The payment was not successful. Nothing was charged.",
        PaymentStatus::Canceled => "This payment was cancelled, or its time is over.",
        PaymentStatus::Refunded | PaymentStatus::PartiallyRefunded => "This payment was given back.",
        PaymentStatus::Processing => {
            "It is not known yet whether the payment succeeded. Please ask the shop before you pay again."
        }
    };
    let status = format!("{:?}", view.payment.status).to_ascii_lowercase();
    let _ = write!(
        main,
        "<p id=\"result\" class=\"{status}\">{text}</p><p><a id=\"return\" href=\"{}\">Back to the shop</a></p>",
        escaped(view.return_url.expose())
    );
}

fn form(view: &PageView, amount: &str, main: &mut String) {
    main.push_str("<form method=\"post\" autocomplete=\"on\">");
    for (place, card) in view.cards.iter().enumerate() {
        stored(card, place == 0, main);
    }
    if !view.cards.is_empty() {
        main.push_str("<label><input type=\"radio\" name=\"card\" value=\"new\"> Another card</label>");
    }
    let required = if view.cards.is_empty() { " required" } else { "" };
    let text = |name: &str, label: &str, complete: &str, most: u8, required: &str| {
        format!(
            "<label>{label}<input type=\"text\" inputmode=\"{}\" id=\"{name}\" name=\"{name}\" \
             autocomplete=\"{complete}\" maxlength=\"{most}\"{required}></label>",
            if name == "holder" { "text" } else { "numeric" }
        )
    };
    main.push_str(&text("number", "Card number", "cc-number", 23, required));
    main.push_str("<div class=\"row\">");
    main.push_str(&text("month", "Month", "cc-exp-month", 2, required));
    main.push_str(&text("year", "Year", "cc-exp-year", 4, required));
    main.push_str(&text("cvv", "Security code", "cc-csc", 4, " required"));
    main.push_str("</div>");
    main.push_str(&text("holder", "Name on the card", "cc-name", 60, ""));
    match view.store {
        Some(Usage::CardOnFile) => {
            let _ = write!(
                main,
                "<label><input type=\"checkbox\" id=\"consent\" name=\"consent\" value=\"{CONSENT}\"> Store this card for \
                 my next payments in this shop. I can have it removed there at any time.</label>"
            );
        }
        Some(Usage::Subscription) => {
            let _ = write!(
                main,
                "<p id=\"agreement\">By paying I agree that this card is stored, and charged again for my subscription until \
                 I cancel it.</p><input type=\"hidden\" name=\"consent\" value=\"{CONSENT}\">"
            );
        }
        None => {}
    }
    let _ = write!(main, "<button id=\"pay\">Pay {}</button></form>", escaped(amount));
    if let Some(cancel) = &view.cancel_url {
        let _ = write!(
            main,
            "<p><a id=\"cancel\" href=\"{}\">Cancel</a></p>",
            escaped(cancel.expose())
        );
    }
}

fn stored(card: &StoredCard, first: bool, main: &mut String) {
    let brand = card.card.brand.as_deref().unwrap_or("card");
    let expiry = card.expiry.as_deref().unwrap_or_default();
    let _ = write!(
        main,
        "<label><input type=\"radio\" name=\"card\" value=\"{}\"{}> {} ending in {} {}</label>",
        escaped(card.token.as_str()),
        if first { " checked" } else { "" },
        escaped(brand),
        escaped(&card.card.last4),
        escaped(expiry)
    );
}

fn whole(title: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\"><title>{}</title><link \
         rel=\"stylesheet\" href=\"/checkout/style.css\"></head><body><main>{main}</main></body></html>",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(escaped("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
        assert!(message("<script>").contains("&lt;script&gt;"));
    }
}
