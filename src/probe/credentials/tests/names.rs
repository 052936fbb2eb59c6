//! Logins, accounts and homes: what is named beside a secret.

use super::*;

#[test]
fn a_token_in_the_place_of_a_login_is_not_shown() {
    let world = World::new("HOME=/home/me");
    let auth = |pair: &str| base64::engine::general_purpose::STANDARD.encode(pair);
    let (twice, long) = (auth("canary-short:canary-short"), auth("canary_0123456789.abcdefghijklmnop:x"));
    let config = format!(
        r#"{{"auths":{{"a.example":{{"auth":"{twice}"}},"b.example":{{"auth":"{long}"}},"c.example":{{"auth":"{}"}}}}}}"#,
        auth("job:canary")
    );
    world.file("/home/me/.docker/config.json", &config);
    world.file(
        "/home/me/.netrc",
        "machine a.example login canary-short password canary-short\n\
         machine b.example login canary_0123456789.abcdefghijklmnop password x\n\
         machine c.example login a.person.of.a.long.name@example.org password canary\n",
    );
    let (credentials, _) = world.look();
    assert!(!serde_json::to_string(&credentials).expect("JSON").contains("canary"));
    let users: Vec<_> = present(&credentials.registries).items.into_iter().map(|login| login.user).collect();
    assert!(matches!(&users[..2], [Fact::Unobserved(_), Fact::Unobserved(_)]), "{users:?}");
    assert_eq!(users[2], Fact::Present("job".into()));
    let logins: Vec<_> = present(&credentials.netrc).items.into_iter().map(|entry| entry.login).collect();
    assert!(matches!(&logins[..2], [Fact::Unobserved(_), Fact::Unobserved(_)]), "{logins:?}");
    assert_eq!(logins[2], Fact::Present("a.person.of.a.long.name@example.org".into()));
}

#[test]
fn without_any_account_in_the_configuration_no_key_has_one_even_where_its_endpoint_is_not_known() {
    let mut world =
        World::new("HOME=/home/me\nAWS_ACCESS_KEY_ID=AK\nAWS_SECRET_ACCESS_KEY=s\nAWS_ENDPOINT_URL=not an url");
    let key = world.keys().items.remove(0);
    assert!(key.endpoint.reason().is_some(), "{:?}", key.endpoint);
    assert_eq!(key.account, Fact::Absent);
    world.wishes.accounts = vec![Account { name: "store".into(), endpoint: "https://s3.example:443".into() }];
    assert!(world.keys().items[0].account.reason().is_some());
}

#[test]
fn a_home_that_is_no_text_is_not_replaced_by_that_of_the_user_database() {
    let mut world = World::new("");
    world.environment = Fact::Present(Environment::parse(b"HOME=/home/\xff\0"));
    world.file("/home/passwd/.netrc", "machine a.example login job password p\n");
    let netrc = present(&world.look().0.netrc);
    assert!(netrc.items.is_empty() && netrc.more.is_some(), "{netrc:?}");
}

#[test]
fn a_hostile_file_of_countless_small_entries_is_cut_and_says_so() {
    let world = World::new("HOME=/home/me");
    let aliases: Vec<String> = (0..9000).map(|number| format!("\"a{number}\":{{\"url\":\"http://h\"}}")).collect();
    world.file("/home/me/.mc/config.json", &format!("{{\"aliases\":{{{}}}}}", aliases.join(",")));
    let nested = "[default]\ns3 =\n".to_owned() + &" a=\n".repeat(200_000);
    world.file("/home/me/.aws/config", &nested);
    let keys = world.keys();
    assert_eq!((keys.items.len(), matches!(keys.more, Some(Reason::Truncated { at: 1024, .. }))), (1024, true));
}
