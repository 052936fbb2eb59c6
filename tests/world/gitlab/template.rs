//! What GitLab does with a `.gitlab-ci.yml` before a runner hears of it, as far as the files in `docs/templates` need it: a job's script,
//! variables and artifacts become the job that the coordinator hands out. Refuses every keyword that it would otherwise pass over.

use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

use super::coordinator::JOB_TOKEN;

/// A job of a template.
pub struct Template {
    name: String,
    job: Yaml,
    variables: Vec<(String, String)>,
}

/// Keywords that decide whether and when a job runs, or what its failure means: GitLab's, not the runner's.
const OF_THE_PIPELINE: &[&str] =
    &["stage", "allow_failure", "needs", "rules", "tags", "interruptible", "image", "cache"];

impl Template {
    /// The job of this name in the template of this name.
    pub fn read(file: &str, name: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/templates").join(file);
        let text = std::fs::read_to_string(&path).expect("a template");
        let document = YamlLoader::load_from_str(&text).expect("YAML").remove(0);
        let job = document[name].clone();
        assert!(!job.is_badvalue(), "{file} has a job {name}");
        let mut variables = pairs(&document["variables"]);
        variables.extend(pairs(&job["variables"]));
        Self { name: name.to_owned(), job, variables }
    }

    /// The codes with which the script may end without failing the pipeline.
    pub fn may_exit_with(&self) -> Vec<i64> {
        let codes = &self.job["allow_failure"]["exit_codes"];
        codes.as_i64().into_iter().chain(codes.as_vec().into_iter().flatten().filter_map(Yaml::as_i64)).collect()
    }

    /// The job, as the API gives it to a runner.
    pub fn job(&self, id: u64, image: &str) -> Value {
        let known = ["variables", "script", "before_script", "artifacts"];
        for key in self.job.as_hash().expect("a job").keys().filter_map(Yaml::as_str) {
            assert!(known.contains(&key) || OF_THE_PIPELINE.contains(&key), "what would GitLab do with {key}?");
        }
        let mut script = lines(&self.job["before_script"]);
        script.extend(lines(&self.job["script"]));
        let number = id.to_string();
        let mut variables: Vec<(&str, &str)> = vec![
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_JOB_ID", &number),
            ("CI_JOB_NAME", &self.name),
            ("CI_JOB_STAGE", "coherence"),
            ("CI_PIPELINE_ID", "1"),
            ("CI_PROJECT_ID", "1"),
            ("CI_PROJECT_PATH", "parallax/world"),
            ("CI_COMMIT_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_RUNNER_ID", "1"),
        ];
        variables.extend(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let public = |(name, value): (&str, &str)| json!({"key": name, "value": value, "public": true});
        json!({
            "id": id, "token": JOB_TOKEN, "allow_git_fetch": true, "image": {"name": image}, "services": [],
            "job_info": {"name": self.name, "stage": "test", "project_id": 1, "project_name": "world", "pipeline_id": 1},
            "git_info": {"repo_url": "http://coordinator.invalid/parallax/world.git", "ref": "main", "ref_type": "branch",
                "sha": "0123456789abcdef0123456789abcdef01234567", "before_sha": "0", "refspecs": [], "depth": 1},
            "runner_info": {"timeout": 600},
            "variables": variables.into_iter().map(public).collect::<Vec<_>>(),
            "steps": [{"name": "script", "script": script, "timeout": 600, "when": "on_success", "allow_failure": false}],
            "artifacts": self.artifacts(), "cache": [], "credentials": [], "dependencies": [],
            "features": {"trace_sections": true, "failure_reasons": ["script_failure", "runner_system_failure"]},
        })
    }

    fn artifacts(&self) -> Vec<Value> {
        let given = &self.job["artifacts"];
        let when = given["when"].as_str().unwrap_or("on_success");
        let artifact = |paths: &Yaml, kind: &str, format: &str| {
            json!({"name": "", "untracked": false, "paths": lines(paths), "when": when, "expire_in": "",
                "artifact_type": kind, "artifact_format": format})
        };
        let mut artifacts = Vec::new();
        for key in given.as_hash().into_iter().flatten().filter_map(|(key, _)| key.as_str()) {
            match key {
                "paths" => artifacts.push(artifact(&given[key], "archive", "zip")),
                "reports" => {
                    for (kind, paths) in given[key].as_hash().expect("reports") {
                        artifacts.push(artifact(paths, kind.as_str().expect("a kind"), "gzip"));
                    }
                }
                "when" | "expire_in" => {}
                other => panic!("what would GitLab do with artifacts:{other}?"),
            }
        }
        artifacts
    }
}

/// A string, or a list of strings.
fn lines(yaml: &Yaml) -> Vec<String> {
    let one = yaml.as_str().map(str::to_owned);
    one.into_iter().chain(yaml.as_vec().into_iter().flatten().filter_map(Yaml::as_str).map(str::to_owned)).collect()
}

fn pairs(yaml: &Yaml) -> Vec<(String, String)> {
    let text = |value: &Yaml| match value {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(truth) => truth.to_string(),
        other => panic!("a variable with a plain value: {other:?}"),
    };
    yaml.as_hash()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str().expect("a name").to_owned(), text(value)))
        .collect()
}
