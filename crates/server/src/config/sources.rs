//! Where a configuration comes from: a file, and the environment over it.

use super::{Config, ConfigError, ENV_PREFIX};

/// Bytes of a configuration file at most.
const FILE_BYTES_MAX: usize = 1 << 20;

/// The table in a file.
pub(super) fn of_file(host: &host::Host, path: &std::path::Path) -> Result<toml::Table, ConfigError> {
    let file = |cause: String| ConfigError::File { path: path.to_owned(), cause };
    let bytes = host.read_if_there(path, "config").map_err(|error| file(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| file("it is not there".to_owned()))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(file(format!("it has {} bytes, over the limit of {FILE_BYTES_MAX}", bytes.len())));
    }
    let text = String::from_utf8(bytes).map_err(|_| file("it is not text".to_owned()))?;
    let table: Result<toml::Table, _> = text.parse();
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        from: path.display().to_string(),
        cause: error.to_string().trim_end().to_owned(),
    };
    table.map_err(syntax)
}

/// Sets the field that a variable names: `ONRECORD_SERVE_LIMITS__READS_MAX=4`.
pub(super) fn set(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let steps: Vec<String> = name[ENV_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    let Some((field, tables)) = steps.split_last() else { return Ok(()) };
    let mut table = table;
    for step in tables {
        let entry = table.entry(step.as_str()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let toml::Value::Table(inner) = entry else {
            return Err(ConfigError::Syntax { from: name.to_owned(), cause: format!("{step} is no table") });
        };
        table = inner;
    }
    // A number, `true`, a list: what TOML reads it as. Anything else is a text.
    let read = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut read| read.remove("v"));
    let value = read.filter(|read| !read.is_table()).unwrap_or_else(|| toml::Value::String(value.to_owned()));
    table.insert(field.clone(), value);
    Ok(())
}

/// The configuration in a table; a fault names its field, with the tables that it is in.
pub(super) fn config_of(table: toml::Table) -> Result<Config, String> {
    let whole = |table: &toml::Table| table.clone().try_into::<Config>();
    let Err(error) = whole(&table) else { return whole(&table).map_err(|error| error.to_string()) };
    // The parser tells the field of a text, not of values: each is tried alone.
    for (name, value) in &table {
        let alone = toml::Table::from_iter([(name.clone(), value.clone())]);
        let Err(error) = whole(&alone) else { continue };
        let inner = value.as_table().into_iter().flatten().find_map(|(field, value)| {
            let required: &[&str] = match name.as_str() {
                "tls" => &["cert", "key"],
                "login" => &["issuer", "client_id", "redirect_url"],
                _ => &[],
            };
            let mut fields = toml::Table::from_iter(required.iter().map(|&field| (field.to_owned(), "x".into())));
            fields.insert(field.clone(), value.clone());
            let alone = toml::Table::from_iter([(name.clone(), toml::Value::Table(fields))]);
            whole(&alone).err().map(|error| format!("{name}.{field}: {}", error.message()))
        });
        return Err(inner.unwrap_or_else(|| format!("{name}: {}", error.message())));
    }
    Err(error.message().to_owned())
}
