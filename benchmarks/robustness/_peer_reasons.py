"""Tests of peers that fail on our estimators, and why they may.

Each entry: part of the module's path, pattern of the test's name, pattern of the error,
reason. Where an estimator of ours lacks something on purpose and the stand-in can tell,
it raises ``NoCounterpart`` instead.
"""

REASONS = (
    # skorch
    (
        "skorch",
        "test_correct_(valid|train)_(score|loss_values)|test_correct_mse_values",
        "AssertionError",
        "regression: the test expects values of the squared error",
    ),
    (
        "skorch",
        "test_net_use_caching_wrong_value_raises|test_subzero_at_fails",
        "DID NOT RAISE",
        "there is no initialize: fit checks the value, and raises",
    ),
    (
        "skorch",
        "",
        "max_epochs must be an integer >= 1, got 0",
        "a fit trains at least one epoch",
    ),
    (
        "skorch",
        "test_default_without_validation_raises_meaningful_error",
        "set early_stopping=True|Set early_stopping=True",
        "an error before training instead of skorch's after the first epoch",
    ),
    (
        "skorch",
        "test_one_dimensional_x_raises",
        "AssertionError",
        "scikit-learn's error for one-dimensional X comes before the callback's",
    ),
    (
        "skorch",
        "test_shape_set_using_fn",
        "assert 2 == 1",
        "the shape of the input is asked for once more, where the module is made",
    ),
    (
        "skorch",
        "test_no_module_reinit",
        "AttributeError: type object",
        "no counterpart: the test replaces a method of the net's class",
    ),
    (
        "skorch",
        "",
        "Can't (pickle|get) local object .with_logits",
        "the stand-in makes a class inside of a function",
    ),
    # scikit-learn's test_mlp
    (
        "test_mlp",
        "",
        "no attribute '(coefs_|intercepts_|_\\w+|t_|best_loss_|out_activation_)'",
        "attributes of MLPClassifier, some private; the weights are in module_",
    ),
    (
        "test_mlp",
        "^test_fit$",
        "",
        "the test sets weights by hand; initial weights here are torch's",
    ),
    (
        "test_mlp",
        "maxfun|no_convergence|lbfgs",
        "DID NOT WARN.*ConvergenceWarning",
        "no warning after max_epochs: on noisy labels, convergence is no goal",
    ),
    (
        "test_mlp",
        "multilabel",
        "y should be a 1d array",
        "no multi-label targets",
    ),
    ("test_mlp", "test_verbose_sgd", "Iteration", "skorch's table of epochs"),
    (
        "test_mlp",
        "test_early_stopping.MLPClassifier",
        "TimeoutError",
        "early stopping has no tol: each lower loss counts, for up to 3,000 epochs",
    ),
    (
        "test_mlp",
        "test_tolerance",
        "",
        "no tol",
    ),
    (
        "test_mlp",
        "test_warm_start$",
        "warm_start=True continues with the classes",
        "another text of the same error",
    ),
    (
        "test_mlp",
        "test_warm_start_full_iteration",
        "AssertionError: assert 3 == 6",
        "n_iter_ counts the epochs of all calls",
    ),
    (
        "test_mlp",
        "test_early_stopping_stratified",
        "leaves no validation row",
        "another text of an error for four rows",
    ),
    (
        "test_mlp",
        "test_partial_fit_after_fit|test_mlp_partial_fit_after_fit",
        "DID NOT RAISE",
        "partial_fit is allowed after early stopping: it holds out no row",
    ),
    # scikit-learn's other modules, and cleanlab's
    (
        "",
        "",
        "y must hold at least two classes",
        "at least two classes are needed",
    ),
    (
        "sklearn",
        "",
        "'LogisticRegression' object has no attribute '(coef_|intercept_)'",
        "attributes of LogisticRegression; the weights are in module_",
    ),
    (
        "sklearn",
        "",
        "no attribute 'decision_function'",
        "no decision_function, as in MLPClassifier",
    ),
    (
        "test_search",
        "cv_results_multimetric",
        "^AssertionError: assert False\\n.*compare_cv_results_multimetric",
        "the test wants fits of less than a second; the first one takes longer",
    ),
    (
        "test_calibration",
        "test_temperature_scaling",
        "Not equal to tolerance",
        "the test supposes a model at the minimum of its loss",
    ),
    (
        "test_voting",
        "test_predict_proba_on_toy_problem",
        "AssertionError",
        "the test knows the probabilities of LogisticRegression",
    ),
    (
        "cleanlab",
        "test_aux_inputs",
        "sample_weight must not be negative",
        "the test draws weights from a normal distribution",
    ),
)
