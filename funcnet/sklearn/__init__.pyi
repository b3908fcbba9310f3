from funcnet.sklearn.classifier import FuncnetClassifier as FuncnetClassifier
from funcnet.sklearn.regressor import FuncnetRegressor as FuncnetRegressor
